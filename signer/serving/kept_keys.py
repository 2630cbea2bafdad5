"""Keeps the venue's answers about real keys on disk, for lists and for the gateway's next reload."""

from __future__ import annotations

from pathlib import Path
from typing import final

from signer.contracts import Clock, Worker
from signer.gateway.credential import Credential
from signer.keycheck.checks import DAILY_S
from signer.keys.probes import Probe, keep_probe, kept_probe
from signer.model import CredentialInfo, KeyInfo
from signer.secret import fingerprint


@final
class KeptKeys:
    """The folder of probes of one home. Files are written on ``worker``."""

    def __init__(self, folder: Path, clock: Clock, worker: Worker) -> None:
        self._folder = folder
        self._clock = clock
        self._worker = worker
        self.trusted = False
        """Whether an answer that a command stored counts. At a start only the gateway's own answers count."""

    def believed(self, info: CredentialInfo) -> KeyInfo | None:
        """Return the answer to the command that added this key, if it is less than a day old."""
        kept = kept_probe(self._folder, info.fingerprint) if self.trusted else None
        fresh = kept is not None and 0 <= self._clock.now_us() - kept.at_us < DAILY_S * 1_000_000
        return kept.key if kept is not None and fresh else None

    async def keep(self, credential: Credential, key: KeyInfo) -> None:
        """Keep the venue's present answer. Raises `SignerError`."""
        kept, name = Probe(self._clock.now_us(), key), fingerprint(credential.api_key)
        await self._worker.run(lambda: keep_probe(self._folder, name, kept))
