"""What an operator's command can have a running gateway do, by the admin socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import final

from signer.accounts import Credential
from signer.admin import Operator, Verb
from signer.contracts import AuditLog, Clock, Worker
from signer.errors import KeyStoreError
from signer.keys.probes import Probe, keep_probe
from signer.model import Json, KeyInfo
from signer.probe import probe
from signer.records import operator_record
from signer.secret import fingerprint
from signer.snapshot import Snapshot


@final
class AdminVerbs:
    """The verbs, over what is in force at the moment of each question."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        audit: AuditLog,
        drained: Callable[[], Awaitable[None]],
        probes: Path,
        *,
        worker: Worker,
        clock: Clock,
    ) -> None:
        self._snapshot = snapshot
        self._audit = audit
        self._await_drained = drained
        self._probes = probes
        self._worker = worker
        self._clock = clock

    def table(self) -> Mapping[str, Verb]:
        """By the word that asks for it."""
        return {"probe": self._probe, "record": self._record, "drained": self._drained}

    async def _drained(self, _: Operator, __: Mapping[str, Json]) -> Json:
        """Answers when every call that was under way has ended: no key that was let go of is used any more."""
        await self._await_drained()
        return None

    async def _record(self, operator: Operator, question: Mapping[str, Json]) -> Json:
        """Put what an operator does into the log, durably."""
        told = {key: value for key, value in question.items() if key != "do"}
        await self._audit.record(operator_record(operator.uid, operator.name, told, self._clock.now_us()))
        return None

    async def _probe(self, _: Operator, question: Mapping[str, Json]) -> Json:
        """Ask the venue what a key may do, and keep the answer where lists look for it."""
        snapshot, name = self._snapshot(), str(question.get("credential"))
        for account in snapshot.accounts.values():
            credential = account.credential(name)
            if credential is not None:
                await self._keep(credential, await probe(account, snapshot.venue, credential))
                return None
        raise KeyStoreError(f"the gateway has no credential {name[:64]!r}", mend="run `signer reload`")

    async def _keep(self, credential: Credential, key: KeyInfo) -> None:
        kept = Probe(self._clock.now_us(), key)
        await self._worker.run(lambda: keep_probe(self._probes, fingerprint(credential.api_key), kept))
