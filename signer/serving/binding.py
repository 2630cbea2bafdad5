"""Checks that the gateway can listen at its listeners, because gunicorn would retry without a message."""

from __future__ import annotations

import errno
import grp
import os
import socket
import stat
from pathlib import Path

from signer.errors import ConfigError, ListenError
from signer.home.listener import Listener

_ELSEWHERE = "stop what listens there, or choose another port"
_LOW_PORT = (
    "give the service AmbientCapabilities=CAP_NET_BIND_SERVICE (deploy/systemd/drop-ins/port-443.conf), lower "
    "net.ipv4.ip_unprivileged_port_start, or choose a port above 1023"
)
_PASSING = {errno.EADDRINUSE, errno.EADDRNOTAVAIL}
"""Errors that may go away: another program may end, or the network may come up. systemd starts the gateway again."""

_FOLDER = "choose a folder that only its owner may write to, such as /run/signer"


def require_bindable(listener: Listener, where: Path) -> None:
    """Raises naming the setting in ``where`` if nothing can listen at ``listener``: `ListenError` if that may change
    by itself, else `ConfigError`.
    """
    try:
        if listener.kind == "unix":
            _try_path(Path(listener.path))
        else:
            family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
            socket.create_server((listener.host, listener.port), family=family).close()
    except (ConfigError, ListenError) as error:
        raise type(error)(f"gateway.listen: {listener}: {error.what}", where=str(where), hint=error.hint) from None
    except OSError as error:
        why = str(error.strerror).partition(" (while")[0]
        hint = _LOW_PORT if error.errno == errno.EACCES and listener.kind != "unix" else _ELSEWHERE
        kind = ListenError if error.errno in _PASSING else ConfigError
        raise kind(f"gateway.listen: {listener}: {why}", where=str(where), hint=hint) from None


def group_id(name: str, where: Path) -> int:
    """Return the number of gateway.socket_group. Raises `ConfigError` for a group that we may not use."""
    try:
        found = grp.getgrnam(name).gr_gid
    except KeyError:
        what = f"gateway.socket_group: there is no group {name!r}"
        raise ConfigError(what, where=str(where), hint="make it with `groupadd`, or name another") from None
    if os.geteuid() != 0 and found not in {*os.getgroups(), os.getegid()}:
        what = f"gateway.socket_group: the gateway's user is not in the group {name}"
        raise ConfigError(what, where=str(where), hint="add it with `usermod -aG`, or name another group")
    return found


def _try_path(path: Path) -> None:
    """Check that nobody else may write to the folder of the path, and that nobody serves a socket there.

    In a folder that all may write to, another user could be there first, and receive the bots' calls.
    """
    try:
        folder = path.parent.stat()
    except OSError as error:
        raise ConfigError(f"its folder cannot be used ({error.strerror})", hint=f"make {path.parent}") from None
    if folder.st_mode & stat.S_IWOTH:
        raise ConfigError("everybody may write to its folder", hint=_FOLDER)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ConfigError("the gateway may not write to its folder", hint="make it the folder's owner")
    _try_chown(path.parent)
    if not os.path.lexists(path):
        return
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise ConfigError("something that is no socket is there", hint="move it away, or choose another path")
    if _is_served(path):
        raise ListenError("a running program listens there", hint="stop it, or choose another path")


def _try_chown(folder: Path) -> None:
    """Check that a unix socket may be given its owner. If a filter forbids that, gunicorn ends without a message."""
    try:
        os.chown(folder, -1, -1)  # changes nothing, so nothing but a filter can refuse it
    except PermissionError:
        hint = "allow the service chown: deploy/systemd/drop-ins/unix-socket.conf"
        raise ConfigError("the socket cannot be given to its owner", hint=hint) from None


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True
