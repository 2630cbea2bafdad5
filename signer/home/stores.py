"""The tables ``[stores.NAME]`` of signer.toml: the stores of secrets outside the home."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, field_validator

from signer.home.checked import File, MountPath, Seconds, Strict, check_origin


class AppRoleLogin(Strict):
    """``[stores.NAME.login]`` by AppRole: with a role and a secret-id of this machine."""

    method: Literal["approle"]
    mount: MountPath = "approle"
    role_id: Annotated[str, Field(min_length=1, max_length=256)]
    secret_id_file: File
    wrapped: bool = False
    """Whether the file holds a response-wrapping token, which is unwrapped once, at the start."""


class KubernetesLogin(Strict):
    """``[stores.NAME.login]`` by Kubernetes: with the pod's service account."""

    method: Literal["kubernetes"]
    mount: MountPath = "kubernetes"
    role: Annotated[str, Field(min_length=1, max_length=256)]
    jwt_file: File = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class TokenLogin(Strict):
    """``[stores.NAME.login]`` by a token that another program, such as Vault's agent, keeps in a file."""

    method: Literal["token"]
    token_file: File


class VaultConfig(Strict):
    """The settings of both kinds of Vault store."""

    address: str
    namespace: Annotated[str, Field(pattern="^[!-~]{0,256}$")] = ""
    ca_file: File | None = None
    """CA certificates (PEM) by which Vault's certificate is verified; the system's if not stated."""
    deadline_seconds: Seconds = 2.0
    """Seconds that one signature, login or read may take."""
    login: Annotated[AppRoleLogin | KubernetesLogin | TokenLogin, Field(discriminator="method")]

    @field_validator("address")
    @classmethod
    def _address(cls, value: str) -> str:
        check_origin(value)
        return value


class VaultKvConfig(VaultConfig):
    """``[stores.NAME] kind = "vault-kv"``: secrets are read from KV version 2 and kept as handles."""

    kind: Literal["vault-kv"]
    mount: MountPath = "secret"
    prefix: MountPath = "signer"

    @property
    def place(self) -> tuple[str, ...]:
        """The place of its secrets. Two stores of one place are the same store."""
        return self.address, self.namespace, self.mount, self.prefix


class VaultTransitConfig(VaultConfig):
    """``[stores.NAME] kind = "vault-transit"``: secrets never leave Vault, and each signature is a call to it."""

    kind: Literal["vault-transit"]
    mount: MountPath = "signer-transit"
    """The path of an engine for signer alone: whoever may sign with one of its keys may sign with all."""
    in_flight: Annotated[int, Field(ge=1, le=256)] = 32
    """Most signatures under way at once. Further ones are refused."""

    @property
    def place(self) -> tuple[str, ...]:
        """The place of its secrets, as `VaultKvConfig.place`."""
        return self.address, self.namespace, self.mount


HSM_VARIABLES = ("SOFTHSM2_CONF", "YUBIHSM_PKCS11_CONF", "ChrystokiConfigurationPath", "CS_PKCS11_R3_CFG")
"""Variables with the paths of settings of SoftHSM, YubiHSM 2, Luna and Utimaco."""


class Pkcs11Config(Strict):
    """``[stores.NAME] kind = "pkcs11"``: secrets never leave the token."""

    kind: Literal["pkcs11"]
    module: File
    token: Annotated[str, Field(min_length=1, max_length=32)]
    """The token's label (PKCS#11 v3.0 §3.5)."""
    pin_file: File
    environment: Annotated[tuple[str, ...], Field(strict=False)] = HSM_VARIABLES
    """Environment variables that the module reads. `signer serve` forgets all others that it does not need."""
    deadline_seconds: Seconds = 2.0
    in_flight: Annotated[int, Field(ge=1, le=256)] = 32
    """Most signatures that wait for the token or are under way. Further ones are refused."""

    @property
    def place(self) -> tuple[str, ...]:
        """The place of its secrets, as `VaultKvConfig.place`."""
        return self.kind, self.token


StoreConfig: TypeAlias = VaultKvConfig | VaultTransitConfig | Pkcs11Config
