"""The compose files: the gateway to itself, and beside a Vault that is the one of our tests."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
from pathlib import Path

import pytest

from signer import __version__
from signer.home.settings import load_config
from signer.home.stores import AppRoleLogin, VaultTransitConfig
from signer.keys.passphrase import CREDENTIAL
from tests.deploy.manifests import DEPLOY, ROOT, Json, comments, documents
from tests.deploy.units import UNIT, settings

COMPOSE = DEPLOY / "compose" / "compose.yaml"
WITH_VAULT = DEPLOY / "compose" / "vault.yaml"
ALONE: Json = documents(COMPOSE)[0]
VAULT: Json = documents(WITH_VAULT)[0]


def test_the_gateway_is_reached_by_nobody_who_does_not_share_its_network() -> None:
    """No published port, no environment, the passphrase as a secret where the image looks; and it is this version."""
    gateway = ALONE["services"]["gateway"]
    assert not {"ports", "environment", "network_mode", "networks", "privileged", "cap_add"} & set(gateway)
    assert gateway["image"] == f"signer:{__version__}"
    assert gateway["command"] == ["serve"]
    assert gateway["secrets"] == [CREDENTIAL]
    assert set(ALONE["secrets"]) == {CREDENTIAL}


@pytest.mark.parametrize("services", [ALONE["services"], VAULT["services"]], ids=["alone", "vault"])
def test_nothing_of_it_is_swapped(services: Json) -> None:
    """Memory may be locked, and the limit with swap is the limit without."""
    for service in services.values():
        if "image" in service:
            assert service["memswap_limit"] == service["mem_limit"]
            assert {"core": 0, "memlock": -1}.items() <= service["ulimits"].items()


@pytest.mark.parametrize("services", [ALONE["services"], VAULT["services"]], ids=["alone", "vault"])
def test_the_gateway_has_as_many_descriptors_as_under_systemd(services: Json) -> None:
    """The start refuses fewer than its settings need."""
    limits = [service["ulimits"] for service in services.values() if "build" in service]
    assert [each.get("nofile") for each in limits] == [int(settings(UNIT)["Service"]["LimitNOFILE"][0])] * len(limits)
    assert limits or services is not ALONE["services"]


def test_the_vault_is_the_one_that_the_tests_run_against() -> None:
    """The version is that of tests/vault/server, and only this machine reaches it, by TLS."""
    vault = VAULT["services"]["vault"]
    tested = re.search(r"^\tgithub.com/hashicorp/vault v(\S+)$", (ROOT / "tests/vault/server/go.mod").read_text(), re.M)
    assert tested is not None
    assert vault["image"] == f"hashicorp/vault:{tested[1]}"
    assert vault["ports"] == ["127.0.0.1:8200:8200"]
    settings = json.loads((DEPLOY / "compose" / "vault.json").read_text(encoding="utf-8"))
    listener, mounted = settings["listener"]["tcp"], {config["target"] for config in vault["configs"]}
    assert {listener["tls_cert_file"], vault["environment"]["VAULT_CACERT"], vault["command"][1].partition("=")[2]} == (
        mounted
    ) | {listener["tls_cert_file"]}
    assert listener["tls_key_file"].removeprefix("/run/secrets/") in vault["secrets"]
    assert [f"vault:{settings['storage']['raft']['path']}"] == vault["volumes"]


def test_the_settings_lead_to_that_vault() -> None:
    """signer.toml loads, and names the service, the files that compose mounts, and the login that setup.sh makes."""
    config = load_config(DEPLOY / "compose" / "signer.toml")
    store, gateway = config.stores["vault"], VAULT["services"]["gateway"]
    assert isinstance(store, VaultTransitConfig)
    assert isinstance(store.login, AppRoleLogin)
    assert store.address == "https://vault:8200"
    assert str(store.ca_file) in {each["target"] for each in gateway["configs"]}
    assert [str(store.login.secret_id_file)] == [f"/run/secrets/{name}" for name in gateway["secrets"]]
    assert {account.store for account in config.accounts.values()} == {"vault"}


def test_the_certificate_that_the_comment_makes_is_one(tmp_path: Path) -> None:
    """The `openssl` line gives a certificate that proves both names of the Vault, to the strictest reader too."""
    (command,) = [line for line in comments(WITH_VAULT) if line.startswith("openssl req")]
    subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, check=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "vault.pem", tmp_path / "vault-key.pem")
    for name in ("vault", "127.0.0.1"):
        client = ssl.create_default_context(cafile=str(tmp_path / "vault.pem"))
        client.verify_flags |= ssl.VERIFY_X509_STRICT
        _shake_hands(client, server, name)
    with pytest.raises(ssl.SSLCertVerificationError):
        _shake_hands(client, server, "elsewhere")


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> None:
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(to_client, to_server, server_hostname=name), server.wrap_bio(to_server, to_client, True)]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
