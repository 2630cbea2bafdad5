"""Every way to log in to Vault, and each way in which it can be wrong."""

from __future__ import annotations

import base64
import json
import os
import signal
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from signer.errors import KeyStoreError, StoreUnavailable
from signer.home.stores import VaultTransitConfig
from signer.keys.unwrapped import Unwrapped
from signer.keys.vault_client import explained
from signer.keys.vault_login import VaultLogin
from tests.vault.custody import vault_settings, wrapped_login
from tests.vault.running import RunningVault

SIGNS = {"signer-transit/hmac/any/sha2-512": frozenset({"update"})}


def jwt(name: str) -> str:
    """A service account's token as Kubernetes makes them; its signature is for TokenReview to judge."""
    account = {"name": name, "uid": "7"}
    now = int(time.time())
    claims = {"sub": f"system:serviceaccount:trading:{name}", "iat": now - 9, "nbf": now - 9, "exp": now + 900}
    claims |= {"kubernetes.io": {"namespace": "trading", "serviceaccount": account}}
    parts = (json.dumps({"alg": "RS256", "kid": "k"}).encode(), json.dumps(claims).encode(), b"signature" * 30)
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


JWT = jwt("signer")


class Made:
    """A login, and what it warned of."""

    def __init__(
        self, vault: RunningVault, *, unwrapped: Unwrapped | None = None, admin_token: str = "", **settings: object
    ) -> None:
        config = VaultTransitConfig.model_validate(vault_settings(vault, "vault-transit", **settings))
        self.warned: list[str] = []
        self.login = VaultLogin(
            config, "store it", SIGNS, self.warned.append, unwrapped=unwrapped, admin_token=admin_token
        )

    def __enter__(self) -> Made:
        return self

    def __exit__(self, *_: object) -> None:
        self.login.close()


def private(folder: Path, name: str, text: str) -> Path:
    """A file that only its owner can read."""
    path = folder / name
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


def test_approle_with_what_setup_made(vault: RunningVault) -> None:
    """The files of setup.sh log in, and the token has no right too many."""
    with Made(vault) as made:
        made.login.log_in()
        assert made.login.token.startswith(("hvs.", "s."))
        assert made.warned == []


def test_a_wrapped_secret_id_is_unwrapped_once(vault: RunningVault, tmp_path: Path) -> None:
    """One unwrapped secret-id serves every login of this gateway; a second gateway is told what a used one may mean."""
    login, unwrapped = wrapped_login(vault, tmp_path / "logins"), Unwrapped()
    with Made(vault, login=login, unwrapped=unwrapped) as made, Made(vault, login=login, unwrapped=unwrapped) as other:
        made.login.log_in()
        first = made.login.token
        made.login.log_in()
        other.login.log_in()
        assert len({first, made.login.token, other.login.token}) == 3
    with Made(vault, login=login, unwrapped=Unwrapped()) as second, pytest.raises(KeyStoreError, match="somebody else"):
        second.login.log_in()


def test_a_process_born_again_finds_what_the_dead_one_unwrapped(vault: RunningVault, tmp_path: Path) -> None:
    """A child unwraps and is killed; the next one logs in with that, and with a new one if that is put there."""
    login, unwrapped = wrapped_login(vault, tmp_path / "logins"), Unwrapped()

    def logged_in() -> bool:
        child = os.fork()
        if child == 0:
            try:
                Made(vault, login=login, unwrapped=unwrapped).login.log_in()
                os.kill(os.getpid(), signal.SIGKILL)
            finally:
                os._exit(1)
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])

    assert [logged_in(), logged_in()] == [True, True]
    vault.set_up(tmp_path / "logins", WRAP_TTL="60s")
    assert [logged_in(), logged_in()] == [True, True]


def test_a_command_leaves_the_wrapped_secret_id_to_the_gateway(vault: RunningVault, tmp_path: Path) -> None:
    """A command uses the administrator's token or says so, and the gateway can still unwrap."""
    login = wrapped_login(vault, tmp_path / "logins")
    with Made(vault, login=login) as command, pytest.raises(KeyStoreError, match="rights of both"):
        command.login.log_in()
    token = vault.token("signer-gateway", "signer-admin")
    with Made(vault, login=login, admin_token=token) as command:
        command.login.client().sys.get_capabilities(["signer-transit/hmac/any/sha2-512"])
        assert (command.login.token, command.warned) == (token, [])
    with Made(vault, login=login, unwrapped=Unwrapped()) as gateway:
        gateway.login.log_in()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"role_id": "another"}, "does not take it: .*role"),
        ({"mount": "nowhere"}, r"refuses it|nothing is mounted|no such login"),
        ({"secret_id_file": "{folder}/wrong"}, "does not take it: .*secret"),
        ({"secret_id_file": "{folder}/absent"}, "no such file"),
        ({"secret_id_file": "{folder}/wide"}, "chmod 600"),
        ({"secret_id_file": "{folder}/empty"}, "no token or id in it"),
    ],
)
def test_an_approle_that_is_not_right(vault: RunningVault, tmp_path: Path, settings: dict[str, str], says: str) -> None:
    """One line says what is wrong and the hint, and nothing of the secret-id."""
    private(tmp_path, "wrong", "5ec8e7-not-the-secret-id")
    private(tmp_path, "empty", "")
    private(tmp_path, "wide", "x").chmod(0o644)
    login = {"method": "approle", "role_id": vault.role_id, "secret_id_file": str(vault.secret_id_file)}
    login |= {name: value.format(folder=tmp_path) for name, value in settings.items()}
    with Made(vault, login=login) as made, pytest.raises(KeyStoreError, match=says) as error:
        made.login.log_in()
    assert not isinstance(error.value, StoreUnavailable)
    assert "5ec8e7" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_token_file_is_read_again_when_its_token_ends(vault: RunningVault, tmp_path: Path) -> None:
    """Vault's agent has put a new one there: it is taken as soon as the old one does not work."""
    file = private(tmp_path, "token", vault.token("signer-gateway"))

    def read(client: Any) -> None:
        with explained("test"):
            assert client.read("signer-transit/keys/none") is None

    with Made(vault, login={"method": "token", "token_file": str(file)}) as made:
        made.login.run(read)
        vault.revoke(file.read_text().strip())
        private(tmp_path, "token", vault.token("signer-gateway"))
        made.login.run(read)
        assert made.login.token == file.read_text().strip()
        assert made.warned == []
        vault.revoke(file.read_text().strip())
        with pytest.raises(KeyStoreError, match="refuses"):
            made.login.run(read)


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ("root", "a root token"),
        ("much", "may also delete signer-transit/hmac/any/sha2-512"),
        ("little", "may not ask what it may do"),
    ],
)
def test_a_token_whose_rights_are_not_those_it_needs(
    vault: RunningVault, tmp_path: Path, policy: str, says: str
) -> None:
    """Rights that are too many or cannot be found out are said once, and signing goes on."""
    own = 'path "auth/token/lookup-self" { capabilities = ["read"] }\n'
    limit = own + 'path "*" { capabilities = ["update", "delete"] }'
    vault.root.write_data("sys/policies/acl/much", data={"policy": limit})
    vault.root.write_data("sys/policies/acl/little", data={"policy": own})
    file = private(tmp_path, "token", vault.token(policy, ttl="1h"))
    with Made(vault, login={"method": "token", "token_file": str(file)}) as made:
        made.login.log_in()
        made.login.log_in()
        assert says in made.warned[0]
        assert len(made.warned) == len(set(made.warned))


def test_renewal_goes_on_until_the_token_is_near_its_end(vault: RunningVault, tmp_path: Path) -> None:
    """A renewed token stays the same one; when renewal gives too little a new login follows."""
    role = "auth/approle/role/signer-gateway"
    vault.root.write_data(role, data={"token_ttl": "2s", "token_max_ttl": "3s"})
    try:
        with Made(vault) as made:
            assert 0 < made.login.refresh() < 2
            first = made.login.token
            made.login.refresh()
            assert made.login.token == first
            end = time.monotonic() + 60
            while made.login.token == first:
                made.login.refresh()
                assert time.monotonic() < end
            made.login.client().auth.token.lookup_self()
    finally:
        vault.root.write_data(role, data={"token_ttl": "1h", "token_max_ttl": "24h"})


class TokenReview(BaseHTTPRequestHandler):
    """The one question that Vault asks of Kubernetes' API: whose token is this?"""

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = review["spec"]["token"] == JWT
        user = {"username": "system:serviceaccount:trading:signer", "uid": "7", "groups": []}
        status: dict[str, Any] = {"authenticated": known, "user": user if known else {}}
        body = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        return


@pytest.fixture(name="kubernetes")
def _kubernetes(vault: RunningVault) -> Iterator[None]:
    """Vault's Kubernetes login, with an API that knows one service account."""
    server = HTTPServer(("127.0.0.1", 0), TokenReview)
    thread = Thread(target=server.serve_forever)
    thread.start()
    if "kubernetes/" not in vault.root.sys.list_auth_methods()["data"]:
        vault.root.write_data("sys/auth/kubernetes", data={"type": "kubernetes"})
    address = f"http://127.0.0.1:{server.server_address[1]}"
    settings = {"kubernetes_host": address, "token_reviewer_jwt": JWT, "disable_local_ca_jwt": True}
    vault.root.write_data("auth/kubernetes/config", data=settings)
    bound = {"bound_service_account_names": "signer", "bound_service_account_namespaces": "trading"}
    options = {"token_policies": "signer-gateway", "token_no_default_policy": True}
    vault.root.write_data("auth/kubernetes/role/signer", data={**bound, **options})
    yield
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.usefixtures("kubernetes")
def test_kubernetes(vault: RunningVault, tmp_path: Path) -> None:
    """A pod's own token logs in; it is a symlink that others may read, as Kubernetes makes it."""
    (tmp_path / "data").write_text(JWT)
    (tmp_path / "token").symlink_to(tmp_path / "data")
    login = {"method": "kubernetes", "role": "signer", "jwt_file": str(tmp_path / "token")}
    with Made(vault, login=login) as made:
        made.login.log_in()
        assert made.login.token
        assert made.warned == []
    (tmp_path / "data").write_text(jwt("other"))
    with Made(vault, login=login) as made, pytest.raises(KeyStoreError):
        made.login.log_in()
    (tmp_path / "data").unlink()
    with Made(vault, login=login) as made, pytest.raises(KeyStoreError, match="service account's token"):
        made.login.log_in()
