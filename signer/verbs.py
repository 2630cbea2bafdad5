"""What an operator's command can have a running gateway do, by the admin socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import final

from signer.admin import Operator, Verb
from signer.contracts import AuditLog, Clock
from signer.errors import KeyStoreError, VenueError
from signer.model import Json
from signer.proving import Proving
from signer.records import operator_record
from signer.snapshot import Snapshot


@final
class AdminVerbs:
    """The verbs, over what is in force at the moment of each question."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        audit: AuditLog,
        drained: Callable[[], Awaitable[None]],
        proving: Proving,
        *,
        clock: Clock,
    ) -> None:
        self._snapshot = snapshot
        self._audit = audit
        self._await_drained = drained
        self._proving = proving
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
        """Ask the venue what a key may do, judge it, and keep the answer where lists look for it."""
        name = str(question.get("credential"))
        for account in self._snapshot().accounts.values():
            credential = account.credential(name)
            if credential is not None:
                if credential.lane.stopped and not question.get("though_stopped", True):
                    mend = f"see to it there, then `signer keys test {credential.name}`"
                    raise VenueError("the exchange has refused this key, and no call goes by it", mend=mend)
                asked = await self._proving.prove(account, credential)
                return {"moved": asked.moved, "heard": asked.key is not None}
        raise KeyStoreError(f"the gateway has no credential {name[:64]!r}", mend="run `signer reload`")
