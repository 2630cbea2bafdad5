"""Looks at the state files beside a log: which one it begins with, and whether each is the one that is vouched for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from signer.audit.archive import Archived, StateFile, parse_state, state_name, state_seqs
from signer.audit.disk import Disk, pieces
from signer.model import ChainHead


@dataclass(frozen=True, slots=True)
class Vouched:
    """A state file, and who vouches for it."""

    by: str
    """Who vouches, as ``record 12`` or ``book-40.json``."""
    archived: Archived
    is_recorded: bool
    """Whether a record of the same log vouches."""


@dataclass(frozen=True, slots=True)
class _Found:
    digest: str
    state: StateFile | None
    """What the file holds, if it reads."""


@final
class StateFiles:
    """The state files in one folder."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self._found: dict[int, _Found] = {}
        for seq in state_seqs(disk, folder):
            data = b"".join(pieces(disk, folder / state_name(seq)))
            self._found[seq] = _Found(hashlib.sha256(data).hexdigest(), parse_state(data))

    def heads(self) -> Sequence[tuple[str, ChainHead]]:
        """Return the record that each stands for, by the file's name."""
        states = (found.state for found in self._found.values())
        return [(state_name(state.head.seq), state.head) for state in states if state is not None]

    def fault(self, archived: Archived, *, needed: bool) -> str:
        """Say what is wrong with a file that is vouched for; empty if nothing is. Only a ``needed`` one must exist."""
        found = self._found.get(archived.head.seq)
        if found is None:
            return (
                f"it stands for records 1 to {archived.head.seq}, which were archived, and is missing" if needed else ""
            )
        is_same = found.state is not None and found.state.head == archived.head
        return "" if is_same and found.digest == archived.state_digest else "it was changed"

    def at_end(self, last: ChainHead) -> Mapping[Archived, Vouched]:
        """Return the word of the state file of the last record for the one with which its own log began."""
        found = self._found.get(last.seq)
        if found is None or found.state is None or found.state.head != last or found.state.after is None:
            return {}
        after = found.state.after
        return {after: Vouched(state_name(last.seq), after, is_recorded=False)}
