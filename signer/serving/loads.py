"""Reports each load: to the log, to the audit log, and in a file to the command that asked for it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import final

from signer import __version__
from signer.contracts import Clock, Journal
from signer.findings import Finding, Weight
from signer.gateway.trace import Watch
from signer.home.lock import Load, write_load
from signer.model import Json
from signer.serving.loaded import LoadedHome


@final
class Loads:
    """The loads of one worker."""

    def __init__(self, journal: Journal, watch: Watch, clock: Clock) -> None:
        self._journal = journal
        self._watch = watch
        self._clock = clock
        self._count = 0
        self.error = ""
        """Why the last reload was not taken; empty if it was."""

    def taken(self, kind: str, loaded: LoadedHome, of_keys: Sequence[Finding]) -> None:
        """Report that the home was put in force, by a ``start`` or a ``reload``."""
        policies: dict[str, Json] = {policy.name: policy.hash for policy in loaded.policies.values()}
        self._journal.note({"kind": kind, "time": self._clock.now_us(), "version": __version__, "policies": policies})
        for one in loaded.unloaded:
            say = self._watch.alarm if one.clients else self._watch.warn
            say("policy", str(one.finding()))
        self._publish("", loaded, of_keys)

    def failed(self, error: str, loaded: LoadedHome, of_keys: Sequence[Finding]) -> None:
        """Report that a reload was not taken, and that ``loaded`` stays in force."""
        self._watch.alarm("reload", f"not taken, the old settings stay: {error}")
        self._publish(error, loaded, of_keys)

    def _publish(self, error: str, loaded: LoadedHome, of_keys: Sequence[Finding]) -> None:
        self.error = error
        self._count += 1
        refused = [str(finding) for finding in of_keys if finding.weight is Weight.REFUSED]
        broken = [str(one.finding()) for one in loaded.unloaded if one.clients]
        unused = [str(one.finding()) for one in loaded.unloaded if not one.clients]
        load = Load(os.getpid(), self._count, self._clock.now_us(), error, refused, __version__, broken, unused)
        try:
            write_load(loaded.home.state, load)
        except OSError as unwritten:  # the home is in force even if this file cannot be written
            self._watch.alarm("reload", f"what was loaded cannot be told to commands: {unwritten.strerror}")
