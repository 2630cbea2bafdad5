"""Threat: the gateway, or its files, are within reach of more people than its operator meant.

*Must hold* 9: loopback by default; anything wider is an explicit setting that warns.
"""

from __future__ import annotations

import stat
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from signer.errors import ConfigError
from signer.home.settings import GatewayConfig, load_config
from signer.keys.passphrase import from_file
from signer.serving.warnings import warnings
from tests.harness.loading import loaded_whole
from tests.harness.rig import Rig

LISTENING = "0A"
"""State of a socket in /proc/net/tcp."""


def listening(table: str) -> set[str]:
    """Addresses and ports, in hex, that somebody on this machine listens on."""
    lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    return {fields[1] for fields in map(str.split, lines) if fields[3] == LISTENING}


def test_the_port_is_open_on_loopback_only(rig: Rig) -> None:
    """The kernel shows one listener, on 127.0.0.1."""
    port = f"{int(rig.url.rsplit(':', 1)[1]):04X}"
    assert {one for one in listening("tcp") | listening("tcp6") if one.endswith(f":{port}")} == {f"0100007F:{port}"}


@pytest.mark.parametrize("listen", ["0.0.0.0:8787", "[::]:8787", "192.168.1.5:8787", "gateway.example:8787"])
def test_wider_needs_a_reason(rig: Rig, tmp_path: Path, listen: str) -> None:
    """Every address but loopback, and every name that could be one, is refused without a reason."""
    with pytest.raises(ConfigError, match="allow_wide_listen"):
        load_config(settings(rig, tmp_path, listen))


def test_a_wide_listener_says_its_reason_at_every_start(rig: Rig, tmp_path: Path) -> None:
    """The reason is among the warnings of every start."""
    loaded = loaded_whole(rig.home, from_file(rig.home.passphrase))
    wide = load_config(settings(rig, tmp_path, "0.0.0.0:8787", 'allow_wide_listen = "a network of its own"'))
    told = [str(finding) for finding in warnings(replace(loaded, config=wide), date(2026, 11, 23))]
    assert [line for line in told if "beyond this machine" in line and "a network of its own" in line]


def settings(rig: Rig, folder: Path, listen: str, line: str = "") -> Path:
    """A signer.toml that listens there, with another line in its table."""
    text = rig.home.config.read_text().replace('listen = "127.0.0.1:0"', f'listen = "{listen}"\n{line}')
    file = folder / "signer.toml"
    file.write_text(text)
    return file


def test_loopback_is_what_nobody_has_to_say() -> None:
    """The default of the setting is loopback."""
    assert [listener.host for listener in GatewayConfig().listeners] == ["127.0.0.1"]


@pytest.mark.parametrize("origin", ["http://api.kraken.com", "http://10.0.0.1", "http://localhost.evil.example"])
def test_calls_do_not_leave_this_machine_in_the_clear(rig: Rig, tmp_path: Path, origin: str) -> None:
    """Plain HTTP is for a sandbox on loopback only."""
    file = tmp_path / "signer.toml"
    file.write_text(rig.home.config.read_text().replace(rig.sandbox.url, origin))
    with pytest.raises(ConfigError, match="use https"):
        load_config(file)


def test_no_file_of_the_home_is_open_to_others(rig: Rig) -> None:
    """The folder lets nobody else in; what the gateway writes in it would not either."""
    assert stat.S_IMODE(rig.home.folder.stat().st_mode) == 0o700
    made = [
        rig.home.keys,
        rig.home.passphrase,
        rig.home.marks,
        rig.home.book,
        rig.home.state,
        *rig.home.audit.glob("*"),
    ]
    assert {stat.S_IMODE(file.stat().st_mode) & 0o077 for file in made} == {0}
