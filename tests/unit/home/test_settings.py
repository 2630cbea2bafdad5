"""signer.toml is read strictly, and every key of it is documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from signer.errors import ConfigError
from signer.home.settings import load_config

DOCS = Path(__file__).parents[3] / "docs" / "configuration.md"
TOKEN = "[stores.hsm]\nkind = 'pkcs11'\nmodule = '/lib/hsm.so'\ntoken = 'signer'\npin_file = '/etc/pin'\n"
VAULT = (
    "[stores.v]\nkind = 'vault-kv'\naddress = 'https://vault.example:8200'\n"
    "[stores.v.login]\nmethod = 'token'\ntoken_file = '/etc/token'\n"
)
GOOD = '[accounts.main]\norigin = "https://api.kraken.com"\n'


def load(folder: Path, text: str) -> None:
    """Load ``text`` as a signer.toml."""
    path = folder / "signer.toml"
    path.write_text(text, encoding="utf-8")
    load_config(path)


def test_the_defaults_are_loopback_and_kraken_over_tls(tmp_path: Path) -> None:
    """What nobody set is the safe thing."""
    path = tmp_path / "signer.toml"
    path.write_text("[accounts.main]\n", encoding="utf-8")
    config = load_config(path)
    assert config.gateway.listen == "127.0.0.1:8787"
    assert (config.accounts["main"].venue, config.venues) == ("kraken", ("kraken",))
    assert (config.accounts["main"].origin, []) == config.public("kraken") == ("https://api.kraken.com", [])


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        (GOOD + "[gateway]\nlissten = '127.0.0.1:1'\n", "gateway.lissten", "no such key"),
        (GOOD + "[gateway]\nlisten = '8787'\n", "gateway.listen", "address:port"),
        (GOOD + "[gateway]\nlisten = '0.0.0.0:8787'\n", "gateway", "allow_wide_listen"),
        (GOOD + "[gateway]\nlisten = []\n", "gateway.listen", "at least one"),
        (GOOD + "[gateway]\nlisten = ['127.0.0.1:1', 'tls://127.0.0.1:1']\n", "gateway.listen", "stands twice"),
        (GOOD + "[gateway]\nlisten = ['127.0.0.1:1', '10.0.0.7:1']\n", "gateway", "allow_wide_listen"),
        (GOOD + "[gateway]\nlisten = ['127.0.0.1:1', 'http://127.0.0.1:2']\n", "gateway.listen", "address:port"),
        (GOOD + "[gateway]\nsocket_group = 'bots'\n", "gateway", "remove it"),
        (GOOD + "[gateway]\ntrusted_proxies = ['10.0.0.7/8']\n", "gateway.trusted_proxies", "10.0.0.7/32"),
        (GOOD + "[gateway]\npublic_resolve = ['10.0.0.7']\n", "gateway", "public_origin"),
        (GOOD + "resolve = ['api.kraken.com']\n", "accounts.main.resolve", "is not an address"),
        (GOOD + "[gateway.tls]\nclient_ca = 'bots.pem'\n", "gateway", "listen names no"),
        (GOOD + "[gateway]\nlisten = 'tls://127.0.0.1:1'\ntls.key = 'k.pem'\n", "gateway.tls", "go together"),
        (GOOD + "[gateway]\nmax_connections = '5'\n", "gateway.max_connections", "write a whole number"),
        ("[accounts.main]\norigin = 'http://api.kraken.com'\n", "accounts.main.origin", "use https"),
        ("[accounts.main]\norigin = 'https://api.kraken.com/0'\n", "accounts.main.origin", "no path"),
        ("[accounts.main]\norigin = 'https://u:p@api.kraken.com'\n", "accounts.main.origin", "https://host"),
        ("[accounts.'../x']\n", "accounts", "a-z"),
        ('[accounts.main]\nstore = "vault"\n', "accounts.main.store", "add [stores.vault], known are: file"),
        (GOOD + TOKEN.replace("hsm", "file"), "stores", "always there"),
        (GOOD + TOKEN.replace("pkcs11", "cloud"), "stores.hsm", "'vault-kv', 'vault-transit', 'pkcs11'"),
        (GOOD + TOKEN.replace("/etc/", ""), "stores.hsm.pkcs11.pin_file", "write the whole path"),
        (GOOD + TOKEN + "pin = '1234'\n", "stores.hsm.pkcs11.pin", "no such key"),
        (GOOD + VAULT.replace("https", "http"), "stores.v.vault-kv.address", "use https"),
        (GOOD + VAULT.replace("token", "password"), "stores.v.vault-kv.login", "'approle', 'kubernetes', 'token'"),
        (GOOD + VAULT + "mount = '../x'\n", "stores.v.vault-kv.login.token.mount", "no such key"),
        (
            GOOD + "[stores.v]\nmount = '../x'\n" + VAULT.replace("[stores.v]\n", ""),
            "stores.v.vault-kv.mount",
            "pattern",
        ),
        ("version = 1\n", "accounts", "is missing"),
        ("version = 2\n" + GOOD, "version", "upgrade"),
        ("[accounts.main\n", "TOML", "line 1"),
    ],
)
def test_a_wrong_setting_is_named_with_its_hint(tmp_path: Path, text: str, key: str, says: str) -> None:
    """The message names file, key and what would be right, in one line."""
    with pytest.raises(ConfigError) as error:
        load(tmp_path, text)
    message = str(error.value)
    assert str(tmp_path / "signer.toml") in message
    assert key in message
    assert says in message
    assert "\n" not in message


def test_kinds_of_stores_may_be_mixed(tmp_path: Path) -> None:
    """Each account names its own store; without one it is the home's file."""
    load(tmp_path, GOOD + '[accounts.a]\nstore = "v"\n[accounts.b]\nstore = "hsm"\n' + VAULT + TOKEN)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    """A home that was never made is told apart from one that is wrong."""
    with pytest.raises(ConfigError, match="signer init"):
        load_config(tmp_path / "signer.toml")


def test_a_wide_listen_address_needs_its_reason(tmp_path: Path) -> None:
    """Beyond loopback only with an explicit, named waiver (*Must hold* 9)."""
    load(tmp_path, GOOD + '[gateway]\nlisten = "0.0.0.0:8787"\nallow_wide_listen = "behind a firewall of its own"\n')


def test_tls_and_unix_sockets_need_no_waiver(tmp_path: Path) -> None:
    """What nobody on the way can read, and what no other machine can reach."""
    load(tmp_path, GOOD + '[gateway]\nlisten = ["tls://0.0.0.0:443", "unix:/run/signer/bots", "127.0.0.1:0"]\n')


def test_public_calls_go_where_the_first_account_trades(tmp_path: Path) -> None:
    """Public calls use the first account's origin and addresses, unless they have their own."""
    path = tmp_path / "signer.toml"
    path.write_text('[accounts.main]\nresolve = ["192.0.2.1"]\n', encoding="utf-8")
    assert load_config(path).public("kraken") == ("https://api.kraken.com", ["192.0.2.1"])
    path.write_text('gateway.public_origin = "https://x.test"\n' + path.read_text(), encoding="utf-8")
    assert load_config(path).public("kraken") == ("https://x.test", [])


TWO = GOOD + '[accounts.other]\nvenue = "okx"\norigin = "https://okx.test"\nresolve = ["192.0.2.7"]\n'


def test_each_venue_has_its_listeners_and_its_origin_for_public_calls(tmp_path: Path) -> None:
    """The table of listeners has those of each venue, in its order; public calls go to a venue's first account."""
    path = tmp_path / "signer.toml"
    listen = '[gateway.listen]\nokx = "127.0.0.1:2"\nkraken = ["127.0.0.1:1", "unix:/run/bots"]\n'
    path.write_text(TWO + listen, encoding="utf-8")
    config = load_config(path)
    told = [(venue, str(listener)) for venue, listener in config.listeners]
    assert told == [("okx", "127.0.0.1:2"), ("kraken", "127.0.0.1:1"), ("kraken", "unix:/run/bots")]
    assert config.public("okx") == ("https://okx.test", ["192.0.2.7"])
    assert config.public("kraken") == ("https://api.kraken.com", [])
    assert config.origins_of("okx") == {"accounts.other.origin": ("https://okx.test", ["192.0.2.7"])}


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        (TWO, "several venues", 'write gateway.listen = { kraken = "127.0.0.1:8787", okx = "127.0.0.1:8788" }'),
        (TWO + "[gateway.listen]\nkraken = '127.0.0.1:1'\n", "kraken, okx", "of each venue, and of no other"),
        (GOOD + "[gateway.listen]\nbybit = '127.0.0.1:1'\n", "bybit", "of each venue, and of no other"),
        (TWO + "[gateway.listen]\nkraken = '127.0.0.1:1'\nokx = []\n", "gateway.listen", "at least one"),
        (TWO + "[gateway.listen]\nkraken = '127.0.0.1:1'\nokx = '127.0.0.1:1'\n", "gateway.listen", "stands twice"),
        (
            TWO
            + "[gateway]\npublic_origin = 'https://x.test'\nlisten = { kraken = '127.0.0.1:1', okx = '127.0.0.1:2' }\n",
            "public_origin",
            "remove it",
        ),
        ("[accounts.other]\nvenue = 'okx'\n", "accounts.other", "say where it trades"),
        ("[accounts.other]\nvenue = '../x'\norigin = 'https://x.test'\n", "accounts.other.venue", "use a-z"),
    ],
)
def test_what_does_not_fit_the_venues_is_named_with_its_hint(tmp_path: Path, text: str, key: str, says: str) -> None:
    """A venue without a listener, or a listener without a venue, stops the start."""
    with pytest.raises(ConfigError) as error:
        load(tmp_path, text)
    assert key in str(error.value)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
