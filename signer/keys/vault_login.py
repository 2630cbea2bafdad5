"""Logs in to Vault as signer.toml says, renews the token in time, and logs in anew when renewal ends.

Everything here blocks and runs on the store's own thread. The token is for the least that the store needs; one that
may do more is warned about, once.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, final

from signer.errors import KeyStoreError, StoreUnavailable
from signer.home.private_file import read_private
from signer.home.stores import AppRoleLogin, KubernetesLogin, TokenLogin, VaultConfig
from signer.keys.unwrapped import Unwrapped
from signer.keys.vault_client import VaultDenied, client, explained, table

MOST_BYTES = 16 * 1024
SYSTEMD = Path("/run/credentials")
"""Where ``LoadCredential=`` puts files; they belong to root."""
FRACTION = 2 / 3
"""The part of a token's life that passes before it is renewed; Vault may be away for the rest."""
LEAST_WAIT_S = 0.2
MOST_WAIT_S = 3600.0

T = TypeVar("T")
Rights = Mapping[str, frozenset[str]]
"""The most that the token should be able to do at each path in Vault, keyed by path."""


@final
class VaultLogin:
    """A token for Vault, kept alive. Not for two threads at once.

    ``unwrapped`` is the gateway's; a command has none, and uses ``admin_token`` where the login is the gateway's alone.
    """

    def __init__(
        self,
        config: VaultConfig,
        where: str,
        rights: Rights,
        warn: Callable[[str], None],
        *,
        unwrapped: Unwrapped | None = None,
        admin_token: str = "",
    ) -> None:
        self._config = config
        self._where = where
        self._rights = rights
        self._warn = warn
        self._unwrapped = unwrapped
        self._admin_token = admin_token
        self._warned: set[str] = set()
        self._vault: Any = None
        self._life_s = 0.0
        self._ends = 0.0
        self._renewable = False

    @property
    def token(self) -> str:
        """Return the token in use; empty before the first login."""
        return "" if self._vault is None else str(self._vault.token)

    def client(self) -> Any:
        """Return an `hvac.Client` whose token is good for now. Raises `KeyStoreError`."""
        if self._vault is None or time.monotonic() >= self._ends:
            self.log_in()
        return self._vault

    def run(self, job: Callable[[Any], T]) -> T:
        """Run ``job`` on `client`, on a new one if the token was revoked meanwhile. Raises `KeyStoreError`."""
        try:
            return job(self.client())
        except VaultDenied:
            self.log_in()
            return job(self.client())

    def log_in(self) -> None:
        """Get a new token. Raises `StoreUnavailable`, or `KeyStoreError` for whatever waiting does not fix."""
        vault = client(self._config, "")
        hint = "check [stores.NAME.login] and the file that it names"
        try:
            with explained(self._where, absent="there is no such login; see login.mount", hint=hint):
                self._prove(vault, self._config.login)
        except BaseException:
            vault.adapter.close()
            raise
        self.close()
        self._vault = vault
        if not self._by_hand:
            self._warn_of_excess()

    def describe(self) -> str:
        """Say that the login works, and for how long its token is good. Raises `KeyStoreError`."""
        self.client()
        minutes = (self._ends - time.monotonic()) / 60
        return f"logs in, with a token for {f'{minutes:.0f} minutes' if minutes < float('inf') else 'ever'}"

    @contextlib.contextmanager
    def administrator(self) -> Iterator[Any]:
        """Give a command an `hvac.Client`: with the administrator's token, or else with the rights of this login."""
        vault = client(self._config, self._admin_token) if self._admin_token else self.client()
        try:
            yield vault
        finally:
            vault.adapter.close()

    def close(self) -> None:
        """Close its connections."""
        if self._vault is not None:
            self._vault.adapter.close()

    def refresh(self) -> float:
        """Renew the token, or log in anew where that does not make it last; seconds until this should be done again."""
        if self._vault is None or not self._renewed():
            self.log_in()
        left = self._ends - time.monotonic()
        return min(MOST_WAIT_S, max(LEAST_WAIT_S, left * FRACTION))

    def __repr__(self) -> str:
        return f"VaultLogin({self._config.address!r})"

    @property
    def _by_hand(self) -> bool:
        """Whether the login is one that a command would take away from the gateway."""
        login = self._config.login
        return self._unwrapped is None and isinstance(login, AppRoleLogin) and login.wrapped

    def _prove(self, vault: Any, login: AppRoleLogin | KubernetesLogin | TokenLogin) -> None:
        if self._by_hand:
            self._use_admin_token(vault)
            return
        if isinstance(login, TokenLogin):
            vault.token = _read_private(login.token_file)
            self._read_own(vault)
            return
        if isinstance(login, AppRoleLogin):
            secret_id = self._secret_id_of(vault, login)
            answer = vault.auth.approle.login(login.role_id, secret_id, mount_point=login.mount)
        else:
            answer = vault.auth.kubernetes.login(login.role, _read_jwt(login.jwt_file), mount_point=login.mount)
        self._take(table(answer, "auth", where=self._where))

    def _secret_id_of(self, vault: Any, login: AppRoleLogin) -> str:
        text = _read_private(login.secret_id_file)
        if not login.wrapped or self._unwrapped is None:
            return text
        return self._unwrapped.secret_id(text, lambda: self._unwrap(vault, text))

    def _use_admin_token(self, vault: Any) -> None:
        if not self._admin_token:
            hint = "give --vault-token-file a token with the rights of both gateway.hcl and admin.hcl (deploy/vault)"
            raise KeyStoreError("a wrapped secret-id serves once, for the gateway", where=self._where, hint=hint)
        vault.token = self._admin_token
        self._lasts(0, renewable=False, policies=[])

    def _unwrap(self, vault: Any, wrapping: str) -> str:
        vault.token = wrapping
        try:
            with explained(self._where):
                answer = vault.sys.unwrap()
        except StoreUnavailable:
            raise
        except KeyStoreError:
            what = "the wrapped secret-id cannot be unwrapped: it was already, or it is too old"
            hint = "put a new one there; if nobody of yours unwrapped it, somebody else did: destroy that secret-id"
            raise KeyStoreError(what, where=self._where, hint=hint) from None
        finally:
            vault.token = ""
        return str(table(answer, "data", where=self._where).get("secret_id", ""))

    def _renewed(self) -> bool:
        """Renew the token; tell whether it lasts for at least half as long as it did at its login.

        Near a token's end, each renewal gives less than the one before.
        """
        if not self._renewable:
            return False
        try:
            with explained(self._where):
                auth = table(self._vault.auth.token.renew_self(), "auth", where=self._where)
        except KeyStoreError:  # it ran out, was revoked, is past its longest life, or Vault is away: the login tells
            return False
        granted = float(auth["lease_duration"])
        self._ends = time.monotonic() + granted
        return granted >= self._life_s / 2

    def _take(self, auth: Mapping[str, Any]) -> None:
        self._lasts(
            float(auth["lease_duration"]), renewable=bool(auth["renewable"]), policies=auth.get("policies") or []
        )

    def _read_own(self, vault: Any) -> None:
        data = table(vault.auth.token.lookup_self(), "data", where=self._where)
        self._lasts(float(data["ttl"]), renewable=bool(data.get("renewable")), policies=data.get("policies") or [])

    def _lasts(self, seconds: float, *, renewable: bool, policies: list[str]) -> None:
        self._life_s = seconds or float("inf")  # 0: for ever
        self._ends = time.monotonic() + self._life_s
        self._renewable = renewable and seconds > 0
        if "root" in policies:
            self._say("its token is a root token, which may do anything; log in with the rights of gateway.hcl")

    def _warn_of_excess(self) -> None:
        try:
            with explained(self._where):
                answer = self._vault.sys.get_capabilities(list(self._rights))
        except VaultDenied:
            self._say(
                "its token may not ask what it may do (sys/capabilities-self), so nobody knows if that is too much"
            )
            return
        for path, enough in self._rights.items():
            has = set(table(answer, where=self._where).get(path) or ()) - {"deny"}
            if has - enough:
                self._say(f"its token may also {', '.join(sorted(has - enough))} {path}; gateway.hcl has enough rights")

    def _say(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._warn(f"{self._where}: {text}")


def _read_private(path: Path) -> str:
    raw = read_private(path, limit=MOST_BYTES, missing="put it there", systemd=path.is_relative_to(SYSTEMD))
    return _one_line(raw, path)


def _read_jwt(path: Path) -> str:
    """Return a service account's token: Kubernetes shows it as a symlink that every user of the pod may read."""
    try:
        with path.open("rb") as file:
            return _one_line(file.read(MOST_BYTES), path)
    except OSError as error:
        what = f"it cannot be read ({error.strerror})"
        raise KeyStoreError(what, where=str(path), hint="mount the service account's token there") from None


def _one_line(raw: bytes | bytearray, path: Path) -> str:
    text = raw.decode("ascii", "replace").strip()
    if not text.isascii() or not text.isprintable() or not text or " " in text:
        raise KeyStoreError("there is no token or id in it", where=str(path), hint="put it there, and nothing else")
    return text
