"""The tables ``[stores.NAME]`` of signer.toml: the stores of secrets outside the home."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, field_validator

from signer.home.checked import File, MountPath, Seconds, Strict, check_origin


class AppRoleLogin(Strict):
    """``[stores.NAME.login]`` by AppRole: with a role and a secret-id of this machine."""

    method: Literal["approle"]
    """How the gateway logs in to Vault."""
    mount: MountPath = "approle"
    """Where the login is mounted."""
    role_id: Annotated[str, Field(min_length=1, max_length=256)]
    """The role."""
    secret_id_file: File
    """File (0600) with the secret-id."""
    wrapped: bool = False
    """Whether the file holds a response-wrapping token. It is unwrapped once, for all stores with this login. Each
    start needs a new one; a worker that the master starts again does not."""


class KubernetesLogin(Strict):
    """``[stores.NAME.login]`` by Kubernetes: with the pod's service account."""

    method: Literal["kubernetes"]
    mount: MountPath = "kubernetes"
    role: Annotated[str, Field(min_length=1, max_length=256)]
    """The role in Vault."""
    jwt_file: File = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
    """The service account's token."""


class TokenLogin(Strict):
    """``[stores.NAME.login]`` by a token that another program, such as Vault's agent, keeps in a file."""

    method: Literal["token"]
    token_file: File
    """File (0600) with a token; it is read again when that token ends."""


class VaultConfig(Strict):
    """The settings of both kinds of Vault store."""

    address: str
    """``https://host[:port]``, or plain ``http://`` to loopback."""
    namespace: Annotated[str, Field(pattern="^[!-~]{0,256}$")] = ""
    """Namespace of Vault Enterprise."""
    ca_file: File | None = None
    """CA certificates (PEM) that prove the address. Without it: the system's."""
    deadline_seconds: Seconds = 2.0
    """Seconds that a signature, a login or a read may take before the call is refused."""
    login: Annotated[AppRoleLogin | KubernetesLogin | TokenLogin, Field(discriminator="method")]

    @field_validator("address")
    @classmethod
    def _address(cls, value: str) -> str:
        check_origin(value)
        return value


class VaultKvConfig(VaultConfig):
    """``[stores.NAME] kind = "vault-kv"``: secrets are read from KV version 2 and kept as handles."""

    kind: Literal["vault-kv"]
    """The kind of the store."""
    mount: MountPath = "secret"
    """Where the engine is mounted: KV version 2, or Transit. A Transit mount must be signer's own, because a right to
    sign with one of its keys is a right to all.
    """
    prefix: MountPath = "signer"
    """Folder of the entries."""

    @property
    def place(self) -> tuple[str, ...]:
        """The place of its secrets. Two stores of one place are the same store."""
        return self.address, self.namespace, self.mount, self.prefix


class VaultTransitConfig(VaultConfig):
    """``[stores.NAME] kind = "vault-transit"``: secrets never leave Vault, and each signature is a call to it."""

    kind: Literal["vault-transit"]
    mount: MountPath = "signer-transit"
    in_flight: Annotated[int, Field(ge=1, le=256)] = 32
    """Signatures under way or waiting; more are refused."""

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
    """The HSM's PKCS#11 library."""
    token: Annotated[str, Field(min_length=1, max_length=32)]
    """Label of the token (PKCS#11 v3.0 §3.5)."""
    pin_file: File
    """File (0600) with the user PIN."""
    environment: Annotated[tuple[str, ...], Field(strict=False)] = HSM_VARIABLES
    """Variables that the library reads. `signer serve` forgets all others of its environment."""
    deadline_seconds: Seconds = 2.0
    """Seconds that a signature or a login may take before the call is refused."""
    in_flight: Annotated[int, Field(ge=1, le=256)] = 32
    """Most signatures that wait for the token or are under way. Further ones are refused."""

    @property
    def place(self) -> tuple[str, ...]:
        """The place of its secrets, as `VaultKvConfig.place`."""
        return self.kind, self.token


StoreConfig: TypeAlias = VaultKvConfig | VaultTransitConfig | Pkcs11Config
