"""The systemd unit and its drop-ins: they start the gateway, and systemd itself finds them sound and tight."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from signer.cli.main import EXIT_STATUS
from signer.home.settings import Config
from signer.keys.passphrase import CREDENTIAL
from signer.serving.descriptors import descriptors_needed
from tests.deploy.units import DROP_INS, UNIT, analyze, settings
from tests.unit.test_docs import taken_apart

PROGRAM = "/opt/signer/bin/signer"
MOST_EXPOSED = {"": 1.4, "hsm": 1.8, "port-443": 1.7, "unix-socket": 1.7, "vault": 1.4}
"""By drop-in; of 10, with some room: systemd 252 says 0.3 less, and each version looks at more. What is left is that it
has the network, and looks at the machine's own root folder."""


def installed(folder: Path, drop_in: str) -> Path:
    """The unit as installed in ``folder`` with a drop-in (empty: none), for a program that this machine has."""
    unit = folder / "signer.service"
    unit.write_text(UNIT.read_text(encoding="utf-8").replace(PROGRAM, sys.executable), encoding="utf-8")
    for path in DROP_INS:
        if path.stem == drop_in:
            (folder / "signer.service.d").mkdir()
            (folder / "signer.service.d" / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    return unit


def test_the_unit_starts_the_gateway() -> None:
    """The unit runs the program's own commands as a user of its own, and restarts it only where that can help."""
    sections = settings(UNIT)
    service = sections["Service"]
    assert list(sections) == ["Unit", "Service", "Install"]
    for command, name in (("ExecStart", "serve"), ("ExecReload", "reload")):
        program, *words = shlex.split(service[command][0])
        assert program == PROGRAM
        assert words == ["--home", "/var/lib/signer/home", name]
        assert taken_apart(f"signer {name}")[0] == [name]
    assert service["User"] == ["signer"]
    assert service["LoadCredential"] == [f"{CREDENTIAL}:/etc/signer/passphrase"]
    assert service["Restart"] == ["on-failure"]
    for_a_person = {2, EXIT_STATUS["config"], EXIT_STATUS["key-store"]}
    assert {int(status) for status in service["RestartPreventExitStatus"][0].split()} == for_a_person


@pytest.mark.parametrize("drop_in", MOST_EXPOSED)
def test_systemd_finds_nothing_wrong(drop_in: str, tmp_path: Path) -> None:
    """`systemd-analyze verify`, which knows every setting and value, has nothing to say of it with each drop-in."""
    done = analyze("verify", "--man=no", str(installed(tmp_path, drop_in)))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("drop_in", MOST_EXPOSED)
def test_the_unit_is_as_tight_as_systemd_can_tell(drop_in: str, tmp_path: Path) -> None:
    """`systemd-analyze security` counts no more exposure than there was when each line left open was thought about."""
    done = analyze("security", "--offline=true", "--no-pager", str(installed(tmp_path, drop_in)))
    (exposure,) = re.findall(r"exposure level for signer.service: ([0-9.]+)", done.stdout)
    assert float(exposure) <= MOST_EXPOSED[drop_in]


def test_every_drop_in_is_checked() -> None:
    """The list above has every drop-in and no other."""
    assert {"", *(path.stem for path in DROP_INS)} == set(MOST_EXPOSED)


def test_memory_may_be_locked_and_never_swapped() -> None:
    """The limit and the filter both let the gateway lock its memory."""
    service = settings(UNIT)["Service"]
    assert (service["LimitMEMLOCK"], service["MemorySwapMax"]) == (["infinity"], ["0"])
    assert "@memlock" in service["SystemCallFilter"][0].split()


def test_there_are_descriptors_for_the_default_settings() -> None:
    """The start refuses fewer than its settings need."""
    needed = descriptors_needed(Config.model_validate({"accounts": {"main": {}}}))
    assert int(settings(UNIT)["Service"]["LimitNOFILE"][0]) >= 2 * needed


def test_a_low_port_comes_with_the_namespace_that_it_counts_in() -> None:
    """The drop-in for a low port leaves the user namespace, in which the capability would open no port of the
    machine."""
    by_name = {path.stem: settings(path)["Service"] for path in DROP_INS}
    assert by_name["port-443"]["AmbientCapabilities"] == ["CAP_NET_BIND_SERVICE"]
    assert by_name["port-443"]["PrivateUsers"] == ["no"]
    assert by_name["unix-socket"]["PrivateUsers"] == ["no"]
    assert settings(UNIT)["Service"]["PrivateUsers"] == ["yes"]


def test_credentials_are_where_the_settings_look() -> None:
    """A drop-in that loads a credential says the path under which signer.toml finds it."""
    for path in DROP_INS:
        for loaded in settings(path)["Service"]["LoadCredential"]:
            assert f"/run/credentials/signer.service/{loaded.partition(':')[0]}" in path.read_text(encoding="utf-8")
