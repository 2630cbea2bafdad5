"""Where the gateway cannot listen, it says why in one line before anything is started."""

from __future__ import annotations

import grp
import os
import socket
from pathlib import Path

import pytest

from signer.errors import ConfigError, ListenError
from signer.home.listener import Listener
from signer.serving.binding import group_id, require_bindable

TOML = Path("/home/signer.toml")


def refusal(listener: Listener) -> str:
    """The line that says why it cannot be."""
    with pytest.raises((ConfigError, ListenError)) as error:
        require_bindable(listener, TOML)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{TOML}: gateway.listen: {listener}: ")
    return str(error.value)


def test_a_taken_port_is_named() -> None:
    """The error names the port and says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        says = refusal(Listener("tcp", "127.0.0.1", taken.getsockname()[1]))
    assert "Address already in use; stop what listens there, or choose another port" in says


def test_a_port_that_needs_a_permission_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the capability, the kernel's setting, or another port."""

    def denied(*_: object, **__: object) -> socket.socket:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "create_server", denied)
    says = refusal(Listener("tls", "127.0.0.1", 443))
    assert "Permission denied; give the service AmbientCapabilities=CAP_NET_BIND_SERVICE" in says
    assert "ip_unprivileged_port_start" in says


def test_a_free_path_and_a_dead_socket_can_be_used(tmp_path: Path) -> None:
    """What a killed gateway left behind is in nobody's way."""
    path = tmp_path / "bots"
    require_bindable(Listener("unix", path=str(path)), TOML)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    require_bindable(Listener("unix", path=str(path)), TOML)


def test_a_path_that_somebody_serves_is_refused(tmp_path: Path) -> None:
    """gunicorn would take it away from them."""
    path = tmp_path / "bots"
    with socket.socket(socket.AF_UNIX) as served:
        served.bind(str(path))
        served.listen()
        assert "a running program listens there; stop it, or choose another path" in refusal(
            Listener("unix", path=str(path))
        )


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_is_kept(kind: str, tmp_path: Path) -> None:
    """A file, a folder and a link are left where they are."""
    path = tmp_path / "bots"
    if kind == "link":
        path.symlink_to("elsewhere")
    else:
        path.touch() if kind == "file" else path.mkdir()
    assert "something that is no socket is there; move it away" in refusal(Listener("unix", path=str(path)))
    assert os.path.lexists(path)


def test_a_folder_that_everybody_may_write_to_is_refused(tmp_path: Path) -> None:
    """The sticky bit does not help: somebody could be there first."""
    tmp_path.chmod(0o1777)
    says = refusal(Listener("unix", path=str(tmp_path / "bots")))
    assert "everybody may write to its folder; choose a folder that only its owner may write to" in says


def test_a_filter_that_forbids_chown_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """gunicorn would end the start without a word."""

    def denied(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", denied)
    says = refusal(Listener("unix", path=str(tmp_path / "bots")))
    assert "allow the service chown: deploy/systemd/drop-ins/unix-socket.conf" in says


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """The folder is not made, since its owner cannot be guessed."""
    says = refusal(Listener("unix", path=str(tmp_path / "run" / "bots")))
    assert f"its folder cannot be used (No such file or directory); make {tmp_path}/run" in says


def test_an_unknown_group_is_named() -> None:
    """An unknown group is an error that names it; a known one has its number."""
    own = grp.getgrgid(os.getegid())
    assert group_id(own.gr_name, TOML) == own.gr_gid
    with pytest.raises(ConfigError, match="there is no group 'no-such-group'; make it with"):
        group_id("no-such-group", TOML)
