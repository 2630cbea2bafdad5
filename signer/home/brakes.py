"""Keeps the brakes that are not on record yet: one small file for each, in a folder of the home.

A brake is in force as soon as its file is there. So a command can halt or revoke although the log cannot be written and
the gateway does not answer. A file goes when the log has the brake. A file that does not read halts everybody, because
nobody can tell whom it meant.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from signer.errors import HomeError, SignerError
from signer.home.private_file import make_private_folder, read_private, write_private
from signer.model import Halt, HaltScope, HaltState
from signer.model.halts import EVERYBODY

MOST_BYTES = 64 * 1024
"""Bytes of one file. The clients of the largest group fit (`settings.MOST_CLIENTS`)."""
MOST_NAME = 64
"""Characters of each name in it, as a record takes them (`signer.gateway.trace.operator_record`)."""
MOST_REASON = 200
"""Characters of a reason, as a record takes them."""
_ID = re.compile(r"[0-9a-f]{22}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Brake:
    """A halt, or the revocation of a client, by one person at one time."""

    id: str
    """14 hex digits of the time in microseconds, and 8 random ones. It names the file and the records."""
    act: Literal["halt", "revoke"]
    client: str
    """The client that it is of; a halt of all clients has none."""
    account: str
    reason: str
    by: str
    uid: int
    at_us: int
    group: str = ""
    pair: str = ""
    state: HaltState = "halted"
    clients: tuple[str, ...] = ()
    """The clients of its group, as far as they were known."""

    @property
    def scope(self) -> HaltScope:
        """Return what a halt is of."""
        return HaltScope(self.client, self.account, self.group, self.pair)

    @property
    def halt(self) -> Halt:
        """Return the halt that it is."""
        return Halt(self.scope, self.reason, self.by, self.at_us, self.state, self.clients)


@dataclass(frozen=True, slots=True)
class FiledBrakes:
    """The brakes that lie in the folder."""

    brakes: Mapping[str, Brake] = field(default_factory=dict)
    """Keyed by id."""
    damaged: Mapping[str, str] = field(default_factory=dict)
    """Says why a file does not read, keyed by its path below the home."""

    @property
    def halts(self) -> dict[HaltScope, Halt]:
        """Return the halts that they make. A damaged file halts everybody."""
        found: dict[HaltScope, Halt] = {}
        for one in self.brakes.values():
            if one.act == "halt":
                found[one.scope] = one.halt.after(found.get(one.scope))
        if self.damaged:
            reason = f"{'; '.join(self.damaged)} does not read"
            cure = "remove what does not read; `signer audit search` may tell what it was"
            found[EVERYBODY] = Halt(EVERYBODY, reason, "signer", 0, cure=cure)
        return found

    @property
    def revoked(self) -> dict[str, int]:
        """Return when each revoked client was revoked, in microseconds since the epoch."""
        return {one.client: one.at_us for one in self.brakes.values() if one.act == "revoke"}


NO_BRAKES = FiledBrakes()


def new_id(at_us: int) -> str:
    """Return a unique id that sorts by time."""
    return f"{at_us:014x}{secrets.token_hex(4)}"


def file_brake(folder: Path, brake: Brake) -> None:
    """Write the brake's file into ``folder``, durably and whole. Raises `HomeError`."""
    path = folder / f"{brake.id}.json"
    try:
        make_private_folder(folder)
        write_private(path, json.dumps(asdict(brake)).encode(), replace=False)
        _give_to_owner(folder.parent, folder, path)
    except SignerError as error:
        raise HomeError(error.what, where=error.where, hint=error.hint) from error
    except OSError as error:
        raise HomeError(f"it cannot be given to the home's owner ({error.strerror})", where=str(path)) from error


def read_brakes(folder: Path, before: FiledBrakes = NO_BRAKES) -> FiledBrakes:
    """Read the brakes in ``folder``: those that ``before`` does not have, and those that did not read then.

    Raises nothing: a folder that cannot be read is a damaged file. Hidden files are not brakes.
    """
    try:
        names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return NO_BRAKES
    except OSError as error:
        return FiledBrakes(before.brakes, {folder.name: str(error.strerror)})
    if not names:
        return NO_BRAKES
    brakes, damaged = {}, {}
    for name in names:
        path = folder / name
        try:
            brake = before.brakes.get(path.stem) or _read(path)
        except SignerError as error:
            if os.path.lexists(path):  # else it has just gone
                damaged[f"{folder.name}/{name}"] = error.what
        else:
            brakes[brake.id] = brake
    return FiledBrakes(brakes, damaged)


def remove_brake(folder: Path, name: str) -> None:
    """Remove the file of the brake with the id ``name``, if there is one. Raises `HomeError`."""
    path = folder / f"{name}.json"
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        hint = "check the disk, and the folder's owner and mode"
        raise HomeError(f"it cannot be removed ({error.strerror})", where=str(path), hint=hint) from error


def parse_brake(told: Any) -> Brake:
    """Return the brake that ``told`` (of JSON) describes. Raises `HomeError`."""
    try:
        brake = Brake(**{**told, "clients": tuple(told.get("clients", ()))})
    except (AttributeError, TypeError):
        raise HomeError("it describes no brake") from None
    names = (*brake.scope, *brake.clients)
    texts = (brake.id, brake.act, brake.reason, brake.by, brake.state, *names)
    numbers = (brake.uid, brake.at_us)
    sound = all(type(one) is str for one in texts) and all(type(one) is int and 0 <= one < 2**53 for one in numbers)
    fits = sound and max(map(len, names)) <= MOST_NAME and len(brake.reason) <= MOST_REASON
    words = fits and brake.act in {"halt", "revoke"} and brake.state in {"halted", "cancel_only"}
    if not (words and _ID.fullmatch(brake.id)):
        raise HomeError("it describes no brake")
    if brake.act == "revoke" and not brake.client:
        raise HomeError("it revokes no client")
    return brake


def _read(path: Path) -> Brake:
    raw = read_private(path, limit=MOST_BYTES, missing="")
    try:
        brake = parse_brake(json.loads(raw))
    except (ValueError, RecursionError):
        raise HomeError("it is not JSON", where=str(path)) from None
    if path.name != f"{brake.id}.json":
        raise HomeError(f"it is the file of brake {brake.id}", where=str(path))
    return brake


def _give_to_owner(home: Path, *paths: Path) -> None:
    """Give what root has made to the owner of the home, whose gateway must read it. Raises OSError."""
    owner = home.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        for path in paths:
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
