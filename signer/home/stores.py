"""The tables ``[stores.NAME]`` of signer.toml: where secrets live outside the home."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, field_validator

from signer.home.checked import File, MountPath, Seconds, Strict, check_origin


class AppRoleLogin(Strict):
    """``[stores.NAME.login]`` by AppRole: a role, and a secret-id that is the machine's own."""

    method: Literal["approle"]
    mount: MountPath = "approle"
    role_id: Annotated[str, Field(min_length=1, max_length=256)]
    secret_id_file: File
    wrapped: bool = False
    """The file holds a response-wrapping token, which is unwrapped once, at the start."""


class KubernetesLogin(Strict):
    """``[stores.NAME.login]`` by the pod's service account."""

    method: Literal["kubernetes"]
    mount: MountPath = "kubernetes"
    role: Annotated[str, Field(min_length=1, max_length=256)]
    jwt_file: File = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class TokenLogin(Strict):
    """``[stores.NAME.login]`` by a token that something else (Vault's agent) keeps in a file."""

    method: Literal["token"]
    token_file: File


class VaultConfig(Strict):
    """What both kinds of Vault store are told."""

    address: str
    namespace: Annotated[str, Field(pattern="^[!-~]{0,256}$")] = ""
    ca_file: File | None = None
    """CA certificates (PEM) that prove the address; without it, the system's."""
    deadline_seconds: Seconds = 2.0
    """How long one signature, login or read may take."""
    login: Annotated[AppRoleLogin | KubernetesLogin | TokenLogin, Field(discriminator="method")]

    @field_validator("address")
    @classmethod
    def _address(cls, value: str) -> str:
        check_origin(value)
        return value


class VaultKvConfig(VaultConfig):
    """``[stores.NAME] kind = "vault-kv"``: secrets are read from KV version 2 and held as handles."""

    kind: Literal["vault-kv"]
    mount: MountPath = "secret"
    prefix: MountPath = "signer"

    @property
    def place(self) -> tuple[str, ...]:
        """Where its secrets lie: two stores of one place are one."""
        return self.address, self.namespace, self.mount, self.prefix


class VaultTransitConfig(VaultConfig):
    """``[stores.NAME] kind = "vault-transit"``: secrets never leave Vault, each signature is a call."""

    kind: Literal["vault-transit"]
    mount: MountPath = "signer-transit"
    """One of signer's own: who may sign with one key of it may with all."""
    in_flight: Annotated[int, Field(ge=1, le=256)] = 32
    """Signatures under way at once; more are refused."""

    @property
    def place(self) -> tuple[str, ...]:
        """As `VaultKvConfig.place`."""
        return self.address, self.namespace, self.mount


HSM_VARIABLES = ("SOFTHSM2_CONF", "YUBIHSM_PKCS11_CONF", "ChrystokiConfigurationPath", "CS_PKCS11_R3_CFG")
"""Paths of the settings of SoftHSM, YubiHSM 2, Luna and Utimaco."""


class Pkcs11Config(Strict):
    """``[stores.NAME] kind = "pkcs11"``: secrets never leave the token."""

    kind: Literal["pkcs11"]
    module: File
    token: Annotated[str, Field(min_length=1, max_length=32)]
    """The token's label (PKCS#11 v3.0 §3.5)."""
    pin_file: File
    environment: Annotated[tuple[str, ...], Field(strict=False)] = HSM_VARIABLES
    """Variables that the module reads. `serve` forgets all that it need not know of its environment."""
    deadline_seconds: Seconds = 2.0
    in_flight: Annotated[int, Field(ge=1, le=256)] = 32
    """Signatures that may wait for the token or be under way; more are refused."""

    @property
    def place(self) -> tuple[str, ...]:
        """As `VaultKvConfig.place`."""
        return self.kind, self.token


StoreConfig: TypeAlias = VaultKvConfig | VaultTransitConfig | Pkcs11Config
