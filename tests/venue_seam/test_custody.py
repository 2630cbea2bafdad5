"""Keys of the second venue on their way through the commands: with a passphrase, and with key pairs for its clients."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

import signer.venues
from signer.errors import ConfigError
from signer.gateway.snapshot import Client
from signer.keys.key_pair import PrivateKey, new_private, public_half, read_private
from signer.model import Algorithm
from signer.serving.in_force import _clients
from signer.serving.loaded import LoadedHome, load_home
from signer.venues import open_venue
from tests.harness.shell import Shell, pasted, shell
from tests.harness.stores import API_KEY, CANARY, MESSAGE, open_store, spellings
from tests.venue_seam.exchange import exchange
from tests.venue_seam.rig import POLICY, Bot, line

ADD = ("keys", "add", "main", "--account", "spot", "--stdin")
CLIENT = ("clients", "add", "bot", "--account", "spot", "--policy", "trader")
SECRET, PASSPHRASE = "0A1B2C3D4E5F60718293A4B5C6D7E8F9", "canary of the Phrase!"
KEY = {"api_key": "1f2e3d4c-0000-4000-8000-aabbccddeeff", "api_secret": SECRET, "api_passphrase": PASSPHRASE}
PAIRS = [Algorithm.ED25519, Algorithm.ECDSA_P256, Algorithm.RSA_SHA256]


@pytest.fixture(name="sh")
def _sh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.setattr(signer.venues, "__path__", [*signer.venues.__path__, str(Path(__file__).parent)])
    made = shell(tmp_path, monkeypatch, capfd)
    _settle(made, 'venue = "okx_like"')
    (made.home.policies / "trader.toml").write_text(POLICY)
    return made


def _settle(sh: Shell, account: str, more: str = "") -> None:
    origin = 'origin = "http://127.0.0.1:9"'
    sh.home.config.write_text(f'[gateway]\nlisten = "127.0.0.1:9999"\n[accounts.spot]\n{account}\n{origin}\n{more}\n')


def _loaded(sh: Shell) -> LoadedHome:
    return load_home(sh.home, lambda: open_store(sh.home.keys)).whole()


def _client(sh: Shell) -> Client:
    """The one client, as the gateway has it."""
    (client,) = _clients(_loaded(sh)).values()
    return client


def _env(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def test_a_key_is_kept_with_its_passphrase(sh: Shell) -> None:
    """It goes into the key file, sealed, and out to the handle that the gateway signs with; nothing is shown."""
    status, out, err = sh.run(*ADD, stdin=json.dumps(KEY))
    assert status == 0, err
    store = open_store(sh.home.keys)
    info = store.credential("main")
    assert (info.algorithm, info.has_passphrase) == (Algorithm.HMAC_SHA256, True)
    key = store.signing_key("main", Algorithm.HMAC_SHA256)
    assert key.passphrase is not None
    assert key.passphrase.expose_to(bytes).decode() == PASSPHRASE
    seen = (out + err + repr([key, info])).encode() + sh.home.keys.read_bytes()
    assert not any(text in seen for secret in (SECRET, PASSPHRASE) for text in spellings(secret.encode()))
    assert _loaded(sh).store.names(info)


def test_a_key_without_its_passphrase_is_refused(sh: Shell) -> None:
    """The hint has the member that is missing, and nothing is kept."""
    status, _, err = sh.run(*ADD, stdin=pasted(KEY["api_key"], SECRET))
    assert (status, '"api_passphrase"' in err) == (4, True)
    assert open_store(sh.home.keys).credentials() == []


def test_a_store_that_keeps_no_passphrase_is_refused(sh: Shell, tmp_path: Path) -> None:
    """A key that could never log in goes nowhere: no store is opened for it, and the hint names those that fit."""
    hsm = f'[stores.hsm]\nkind = "pkcs11"\nmodule = "{tmp_path}/none.so"\ntoken = "t"\npin_file = "{tmp_path}/pin"'
    _settle(sh, 'venue = "okx_like"\nstore = "hsm"', hsm)
    status, _, err = sh.run(*ADD, stdin=json.dumps(KEY))
    assert (status, "in the key file or in Vault's KV" in err) == (4, True)
    assert open_store(sh.home.keys).credentials() == []


def test_a_client_is_issued_a_secret_and_a_passphrase(sh: Shell) -> None:
    """The bot's file has both as the venue's bots give them; after a rotation the old ones pass as long as they may."""
    first = _env(sh.run(*CLIENT)[1])
    assert list(first) == [f"OKX_LIKE_{name}" for name in ("BASE_URL", "API_KEY", "API_SECRET", "API_PASSPHRASE")]
    second = _env(sh.run("clients", "rotate", "bot", "--overlap", "1h")[1])
    clients = _clients(_loaded(sh))
    for env in (first, second):
        client = clients[env["OKX_LIKE_API_KEY"]]
        bot = Bot(env["OKX_LIKE_API_SECRET"].encode(), env["OKX_LIKE_API_PASSPHRASE"], env["OKX_LIKE_API_KEY"])
        proof = open_venue("okx_like").decode(bot.request("GET", "account/balance")).proof
        assert any(client.key.matches(message, proof.signature) for message in proof.messages)
        assert client.passphrase is not None
        assert client.passphrase.matches(proof.passphrase)
        assert not client.passphrase.matches("another")
    assert first["OKX_LIKE_API_PASSPHRASE"] != second["OKX_LIKE_API_PASSPHRASE"]


@pytest.mark.parametrize("algorithm", PAIRS)
def test_a_client_is_issued_a_key_pair(sh: Shell, monkeypatch: pytest.MonkeyPatch, algorithm: Algorithm) -> None:
    """Its private key is shown once, and signs; the store has the public half alone."""
    monkeypatch.setattr(type(open_venue("okx_like")), "client_algorithm", algorithm)
    env = _env(sh.run(*CLIENT)[1])
    private = read_private(env["OKX_LIKE_API_PRIVATE_KEY"], algorithm, where="env")
    client = _client(sh)
    assert client.key.matches(MESSAGE, PrivateKey(private, algorithm)._sign(MESSAGE))
    assert client.passphrase is not None
    assert client.passphrase.matches(env["OKX_LIKE_API_PASSPHRASE"])


@pytest.mark.parametrize("algorithm", PAIRS)
def test_a_client_makes_its_own_key_pair(
    sh: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: Algorithm
) -> None:
    """The public key is enough, at a rotation too; the bot is told no private key."""
    monkeypatch.setattr(type(open_venue("okx_like")), "client_algorithm", algorithm)
    for command in (CLIENT, ("clients", "rotate", "bot")):
        private, file = new_private(algorithm), tmp_path / "bot.pem"
        text = base64.encodebytes(public_half(private, algorithm).expose_to(bytes)).decode()
        file.write_text(f"-----BEGIN PUBLIC KEY-----\n{text}-----END PUBLIC KEY-----\n")
        status, out, _ = sh.run(*command, "--public-key", str(file))
        assert (status, "PRIVATE" in out, "SECRET" in out) == (0, False, False)
        assert _client(sh).key.matches(MESSAGE, PrivateKey(private, algorithm)._sign(MESSAGE))


def test_a_public_key_where_clients_share_a_secret_is_refused(sh: Shell, tmp_path: Path) -> None:
    """The error names the algorithm of the venue's clients, and no client is kept."""
    (tmp_path / "bot.pem").write_text("any")
    status, _, err = sh.run(*CLIENT, "--public-key", str(tmp_path / "bot.pem"))
    assert (status, "hmac-sha256" in err) == (4, True)
    assert open_store(sh.home.keys).clients() == []


def test_keys_of_another_venue_stop_the_start(sh: Shell) -> None:
    """An account whose venue was changed under its keys would be signed for wrongly; a revoked client is in nobody's
    way."""
    _settle(sh, "")
    assert sh.run(*ADD, stdin=pasted(API_KEY, base64.b64encode(CANARY).decode()))[0] == 0
    assert sh.run("clients", "add", "old", "--account", "spot", "--policy", "trader")[0] == 0
    _settle(sh, 'venue = "okx_like"')
    parts = load_home(sh.home, lambda: open_store(sh.home.keys))
    main, old = map(str, parts.misfits())
    assert "main signs by hmac-sha512, without a passphrase, and okx_like wants hmac-sha256, with a passphrase" in main
    assert "rotate it: `signer clients rotate old`" in old
    with pytest.raises(ConfigError):
        parts.whole()
    assert sh.run("clients", "rotate", "old")[0] == 0
    sh.run("keys", "remove", "main", "--yes")
    assert sh.run(*CLIENT)[0] == 0
    assert {client.info.name for client in _clients(_loaded(sh)).values()} == {"old", "bot"}


@pytest.mark.parametrize("algorithm", PAIRS)
async def test_a_call_that_a_key_pair_signed_goes_the_whole_way(
    sh: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: Algorithm
) -> None:
    """The line verifies it by the public key, and a replay or another key's signature is refused."""
    monkeypatch.setattr(type(open_venue("okx_like")), "client_algorithm", algorithm)
    mine, other = new_private(algorithm), new_private(algorithm)
    public = public_half(mine, algorithm).expose_to(bytes)
    bot, thief = (Bot(sign=PrivateKey(each, algorithm)._sign) for each in (mine, other))
    async with exchange() as far, line(open_venue("okx_like"), far, tmp_path, public) as near:
        good = bot.request("GET", "account/balance")
        answers = [good, good, thief.request("GET", "account/balance"), Bot().request("GET", "account/balance")]
        assert [(await near.ask(each))[0] == 200 for each in answers] == [True, False, False, False]
        assert far.arrived == ["GET account/balance"]
