"""A Vault that runs, set up by deploy/vault/setup.sh as an operator would; it can be sealed, killed and restarted."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hvac
import requests

from tests.unit.upstream.certificates import Authority
from tests.vault.found import find

SETUP = Path(__file__).parents[2] / "deploy" / "vault" / "setup.sh"
PATIENCE_S = 60.0


def until(ready: Callable[[], bool], what: str) -> None:
    """Poll until ``ready`` says so."""
    end = time.monotonic() + PATIENCE_S
    while not ready():
        assert time.monotonic() < end, f"waited too long for {what}"
        time.sleep(0.05)


@dataclass
class RunningVault:
    """One server over TLS, with the files that setup.sh made for the gateway and the administrator."""

    folder: Path
    authority: Authority
    address: str
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _unseal_key: str = field(default="", repr=False)
    _root: str = field(default="", repr=False)

    @classmethod
    def start(cls, folder: Path) -> RunningVault:
        """A new Vault with its state in ``folder``. Raises `NoVault`."""
        authority = Authority(folder)
        authority.server()  # leaves key and certificate in server.pem
        made = cls(folder, authority, f"https://127.0.0.1:{_free_port()}")
        made._launch()
        nobody = made._client()
        new = nobody.sys.initialize(1, 1)
        nobody.adapter.close()
        made._unseal_key, made._root = new["keys"][0], new["root_token"]
        made.unseal()
        made.set_up(folder / "logins")
        return made

    @functools.cached_property
    def root(self) -> Any:
        """hvac as root."""
        return self._client(self._root)

    @property
    def role_id(self) -> str:
        """The gateway's role."""
        return (self.folder / "logins" / "role-id").read_text().strip()

    @property
    def secret_id_file(self) -> Path:
        """Return the file where setup.sh put the gateway's secret-id."""
        return self.folder / "logins" / "secret-id"

    @property
    def admin_token(self) -> str:
        """A token with the rights of admin.hcl."""
        return (self.folder / "logins" / "admin-token").read_text().strip()

    def set_up(self, out: Path, **environment: str) -> None:
        """Run setup.sh, its files going to ``out``."""
        known = {"VAULT_ADDR": self.address, "VAULT_TOKEN": self._root, "VAULT_CACERT": str(self.authority.file)}
        command = [str(SETUP), str(out)]
        done = subprocess.run(
            command, env={"PATH": os.environ["PATH"], **known, **environment}, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def unseal(self) -> None:
        """Unseal, and wait until it serves."""
        self.root.sys.submit_unseal_key(self._unseal_key)
        until(lambda: self._health() == 200, "Vault to serve")

    @contextlib.contextmanager
    def sealed(self) -> Iterator[None]:
        """Sealed for the length of a block."""
        self.root.sys.seal()
        try:
            yield
        finally:
            self.unseal()

    @contextlib.contextmanager
    def killed(self) -> Iterator[None]:
        """Killed at the start of a block, started again at its end."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        try:
            yield
        finally:
            self._launch()
            self.unseal()

    def token(self, *policies: str, **options: object) -> str:
        """A new token with these policies and nothing else."""
        data = {"policies": list(policies), "no_default_policy": True, **options}
        return str(self.root.write_data("auth/token/create", data=data)["auth"]["client_token"])

    def revoke(self, token: str) -> None:
        """Revoke ``token`` and all that came of it."""
        self.root.write_data("auth/token/revoke", data={"token": token})

    def revoke_logins(self) -> None:
        """Revoke every token that AppRole gave out."""
        self.root.sys.revoke_prefix("auth/approle")

    def logins(self) -> set[str]:
        """What tells the tokens apart that AppRole gave out and that are good now."""
        found = self.root.list("auth/token/accessors")["data"]["keys"]
        return {accessor for accessor in found if self._path_of(accessor) == "auth/approle/login"}

    def lying(self, name: str) -> dict[str, list[str]]:
        """The secrets of a credential, or of several whose names begin alike, by the kind of store they are in."""
        folders = {"vault-kv": "secret/metadata/signer", "vault-transit": "signer-transit/keys"}
        listed = {kind: self.root.list(path) for kind, path in folders.items()}
        keys = {kind: answer["data"]["keys"] if answer else [] for kind, answer in listed.items()}
        return {kind: [key for key in found if key.startswith(f"{name}-")] for kind, found in keys.items()}

    def stop(self) -> None:
        """End it."""
        self.root.adapter.close()
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def _path_of(self, accessor: str) -> str:
        try:
            answer = self.root.write_data("auth/token/lookup-accessor", data={"accessor": accessor})
        except hvac.exceptions.VaultError:  # it ended meanwhile
            return ""
        return str(answer["data"]["path"])

    def _launch(self) -> None:
        kind, program = find()
        storage, pem = self.folder / "storage", self.folder / "server.pem"
        storage.mkdir(exist_ok=True)
        host_port = self.address.removeprefix("https://")
        if kind == "built":
            command = [str(program), "-address", host_port, "-storage", str(storage)]
            command += ["-certificate", str(pem), "-key", str(pem)]
        else:
            settings = self.folder / "vault.hcl"
            settings.write_text(
                f'disable_mlock = true\napi_addr = "{self.address}"\nstorage "file" {{ path = "{storage}" }}\n'
                f'listener "tcp" {{\n address = "{host_port}"\n tls_cert_file = "{pem}"\n tls_key_file = "{pem}"\n}}\n'
            )
            command = [str(program), "server", f"-config={settings}", "-log-level=warn"]
        with (self.folder / "vault.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until(lambda: self._health() is not None, "Vault to listen")

    def _health(self) -> int | None:
        """The status of sys/health (501 not initialised, 503 sealed, 200 serving); None if nobody answers."""
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "vault.log").read_text()[-2000:]
        try:
            answer = requests.get(f"{self.address}/v1/sys/health", verify=str(self.authority.file), timeout=5)
        except requests.exceptions.RequestException:
            return None
        return answer.status_code

    def _client(self, token: str = "") -> Any:
        return hvac.Client(url=self.address, token=token, verify=str(self.authority.file), timeout=30)


def _free_port() -> int:
    """Return a port that a restart can take again."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
