"""Carries out an operator's commands in a running gateway, by the admin socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias, final

from signer.audit.archive import archived_entry, read_archived
from signer.book.acts import ACTS
from signer.book.reading import UNREADABLE
from signer.contracts import Clock, Journal
from signer.errors import AuditError, ConfigError, KeyStoreError, VenueError
from signer.gateway.reconcile import Recovery
from signer.gateway.snapshot import AT_ONCE, Snapshot
from signer.gateway.trace import operator_record
from signer.keycheck.checks import KeyChecks
from signer.lanes.shares import Paces
from signer.model import Json
from signer.serving.admin import Operator, Verb

MOST_REASON = 200
"""Characters of a reason that go on record."""

MOST_TRIES = 100
"""How often the journal is awaited until it is at rest."""

TakeBack: TypeAlias = Callable[[Mapping[str, int], int], None]
"""Refuses the credentials with these API keys, each from its time on. The last argument is the present time."""


@final
class AdminVerbs:
    """The verbs of the admin socket. Each reads the snapshot that is in force at its question."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        journal: Journal,
        drained: Callable[[], Awaitable[None]],
        take_back: TakeBack,
        key_checks: KeyChecks,
        recovery: Recovery,
        paces: Paces,
        *,
        clock: Clock,
    ) -> None:
        self._snapshot = snapshot
        self._journal = journal
        self._await_drained = drained
        self._take_back = take_back
        self._key_checks = key_checks
        self._recovery = recovery
        self._paces = paces
        self._clock = clock

    def table(self) -> Mapping[str, Verb]:
        """Return the verbs, keyed by the word that asks for each."""
        return {
            "calls": self._calls,
            "probe": self._probe,
            "record": self._record,
            "drained": self._drained,
            "take_back": self._taken_back,
            "unknown": self._unknown,
            "close": self._close,
            "book": self._book,
            "archived": self._archived,
        }

    async def _book(self, _: Operator, __: Mapping[str, Json]) -> Json:
        """Tell the book's digest at a record, at a moment when all is on record. None if calls leave no such moment."""
        for _try in range(MOST_TRIES):
            await self._journal.settled()
            found = self._journal.digest_at_rest()
            if found is not None:
                return {"seq": found[0], "digest": found[1]}
        return None

    async def _archived(self, _: Operator, question: Mapping[str, Json]) -> Json:
        """Have a record vouch for the state file of segments that a command has copied, durably."""
        named = question.get("segments")
        try:
            archived = read_archived(question)
        except UNREADABLE:
            archived = None
        if archived is None or not isinstance(named, list):
            raise ConfigError("this names no state file", hint="use the signer that the gateway runs")
        await self._journal.record(archived_entry(archived, [str(name) for name in named], self._clock.now_us()))
        return None

    async def _drained(self, _: Operator, __: Mapping[str, Json]) -> Json:
        """Answer when every call that was under way has ended, so that no replaced key is used any more."""
        await self._await_drained()
        return None

    async def _taken_back(self, _: Operator, question: Mapping[str, Json]) -> Json:
        """Refuse virtual credentials: all of a client at once, and those of these API keys each from its time on.

        It takes effect at once: the next call, and each that waits for its turn, is refused. Answers how many
        credentials in force were named.
        """
        client, named = question.get("client", ""), question.get("credentials", {})
        if not isinstance(named, dict) or not all(isinstance(from_us, int) for from_us in named.values()):
            raise ConfigError("this names no credentials", hint="use the signer that the gateway runs")
        clients, now_us = self._snapshot().clients, self._clock.now_us()
        of_client = {api_key: AT_ONCE for api_key, one in clients.items() if client and one.info.name == client}
        from_when = {api_key: int(str(from_us)) for api_key, from_us in named.items()} | of_client
        self._take_back(from_when, now_us)
        return {"in_force": len(from_when.keys() & clients.keys())}

    async def _calls(self, _: Operator, question: Mapping[str, Json]) -> Json:
        """Tell how many calls of a client each limit of ``max_calls`` counts now. An unknown client has no limit."""
        client = next(
            (one for one in self._snapshot().clients.values() if one.info.name == question.get("client")), None
        )
        if client is None:
            return []
        counted = self._paces.counted(client.info.name, client.policy.max_calls)
        return [{"kind": limit.kind, "window_s": limit.window_s, "calls": calls} for limit, calls in counted.items()]

    async def _unknown(self, _: Operator, __: Mapping[str, Json]) -> Json:
        """List the calls whose outcome is unknown, with the number of look-ups and the reason of their failure."""
        return self._recovery.tried()

    async def _close(self, operator: Operator, question: Mapping[str, Json]) -> Json:
        """Settle or release a call whose outcome is unknown, as the operator says; whether there is one."""
        number, venue_ids, reason = question.get("number"), question.get("venue_ids"), question.get("reason")
        if not (isinstance(number, int) and isinstance(venue_ids, list) and isinstance(reason, str)):
            raise ConfigError("this names no call", hint="use the signer that the gateway runs")
        given = [None if venue_id is None else str(venue_id) for venue_id in venue_ids]
        return await self._recovery.close_by_hand(
            number, given, by=operator.name, uid=operator.uid, reason=reason[:MOST_REASON]
        )

    async def _record(self, operator: Operator, question: Mapping[str, Json]) -> Json:
        """Put an operator's act into the log, durably. Raises `AuditError`, which says so if the act counts already."""
        told = {key: value for key, value in question.items() if key != "do"}
        try:
            await self._journal.record(operator_record(operator.uid, operator.name, told, self._clock.now_us()))
        except AuditError as error:
            if (told.get("act"), told.get("stage")) not in ACTS:
                raise
            what = f"`signer {told['act']}` is in effect, not on record: {error.what}"
            raise AuditError(what, hint="it is recorded as soon as the log can be written") from error
        return None

    async def _probe(self, _: Operator, question: Mapping[str, Json]) -> Json:
        """Ask the venue about a key, judge the answer, and keep it for lists."""
        name = str(question.get("credential"))
        for account in self._snapshot().accounts.values():
            credential = account.credential(name)
            if credential is not None:
                if credential.lane.stopped and not question.get("even_if_stopped", True):
                    hint = f"see to it there, then `signer keys test {credential.name}`"
                    wait = " until it has been asked again" if credential.lane.paused else ""
                    raise VenueError(f"the exchange has refused this key, and no call goes by it{wait}", hint=hint)
                asked = await self._key_checks.prove(account, credential)
                return {"moved": asked.moved, "heard": asked.key is not None}
        raise KeyStoreError(f"the gateway has no credential {name[:64]!r}", hint="run `signer reload`")
