"""Places and turns of a lane against a naive model of the rules: lists, and nothing kept but who came when."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from signer.lanes.shares import Full, Queues, Waiter
from signer.model import Priority

CLIENTS = "abcdefgh"
WEIGHT = {"cancel": 4, "order": 2, "read": 1}
KINDS = {Priority.BRAKE: "brake", Priority.CANCEL: "cancel", Priority.ORDER: "order", Priority.READ: "read"}


@dataclass
class Model:
    """The rules as docs/configuration.md tells them (*Fair shares*), as slowly as one likes."""

    room: int
    waiting: list[tuple[str, str, int]] = field(default_factory=list)
    """Kind, client and number of each call, in order of arrival."""
    served: list[tuple[str, str]] = field(default_factory=list)
    """Kind and client of each turn, since the queue of that kind was last without that client."""
    turns: list[str] = field(default_factory=list)
    """Kinds of the turns of this round."""

    def of(self, kind: str, client: str = "") -> list[tuple[str, str, int]]:
        """Return who waits of that kind."""
        return [one for one in self.waiting if one[0] == kind and client in {"", one[1]}]

    def join(self, kind: str, client: str, number: int) -> int | str | None:
        """``full``, or the number of who leaves for it, or None."""
        own = len(self.of(kind, client))
        if own >= (self.room if kind == "brake" else max(1, self.room // 4)):
            return "full"
        pushed = None
        if len(self.of(kind)) >= self.room:
            most = max(len(self.of(kind, each)) for each in CLIENTS)
            if most < own + 2:
                return "full"
            pushed = -most  # whose it is the caller sees: any client with so many
        self.waiting.append((kind, client, number))
        return pushed

    def next_kind(self) -> str | None:
        """Brakes first; else the weightiest that has turns left in this round."""
        kinds = [kind for kind in ("brake", "cancel", "order", "read") if self.of(kind)]
        if not kinds:
            self.turns.clear()
            return None
        if kinds[0] == "brake":
            return "brake"
        if all(self.turns.count(kind) >= WEIGHT[kind] for kind in kinds):
            self.turns.clear()
        kind = next(kind for kind in kinds if self.turns.count(kind) < WEIGHT[kind])
        self.turns.append(kind)
        return kind


JOIN = st.tuples(st.just("join"), st.sampled_from(Priority), st.sampled_from(CLIENTS))
LEAVE = st.tuples(st.just("leave"), st.sampled_from(Priority), st.sampled_from(CLIENTS))
NEXT = st.tuples(st.just("next"), st.just(Priority.READ), st.just(""))


@given(st.integers(1, 12), st.lists(JOIN | JOIN | JOIN | LEAVE | NEXT, max_size=120))
def test_places_and_turns_are_as_the_rules_have_it(room: int, events: list[tuple[str, Priority, str]]) -> None:
    """The rules say who is let in, who is pushed out and which kind goes next; no client is served twice while another
    waits."""
    loop = asyncio.new_event_loop()
    try:
        play(loop, Queues(room), Model(room), events)
    finally:
        loop.close()


def play(
    loop: asyncio.AbstractEventLoop, queues: Queues, model: Model, events: list[tuple[str, Priority, str]]
) -> None:
    """Play each event on both, and compare them."""
    waiters: dict[int, tuple[Priority, str, Waiter]] = {}
    passed_over: dict[tuple[str, str], set[str]] = {}
    """By kind and waiting client: which other clients have had a turn of the kind while it was first in its own row."""
    for number, (what, priority, client) in enumerate(events):
        kind = KINDS[priority]
        if what == "join":
            waiter: Waiter = loop.create_future()
            expected = model.join(kind, client, number)
            try:
                pushed = queues.join(client, priority, waiter)
            except Full:
                assert expected == "full"
                continue
            assert expected != "full"
            waiters[number] = (priority, client, waiter)
            if len(model.of(kind, client)) == 1:
                passed_over[kind, client] = set()
            if pushed is None:
                assert expected is None
            else:
                whose, out = pushed
                (gone,) = [one for one, (_, _, its) in waiters.items() if its is out]
                theirs = model.of(kind, whose)
                assert (len(theirs), theirs[-1][2]) == (-int(expected or 0), gone)
                model.waiting.remove(theirs[-1])
        elif what == "leave":
            theirs = model.of(kind, client)
            if theirs:
                gone = theirs[len(theirs) // 2][2]
                queues.leave(client, priority, waiters[gone][2])
                model.waiting.remove(theirs[len(theirs) // 2])
        else:
            took = queues.next()
            expected_kind = model.next_kind()
            if took is None:
                assert expected_kind is None
                continue
            (turn,) = [one for one, (_, _, its) in waiters.items() if its is took]
            whose = waiters[turn][1]
            assert KINDS[waiters[turn][0]] == expected_kind
            assert model.of(expected_kind, whose)[0][2] == turn
            model.waiting.remove(model.of(expected_kind, whose)[0])
            for other in {one[1] for one in model.of(expected_kind)} - {whose}:
                assert whose not in passed_over[expected_kind, other]
                passed_over[expected_kind, other].add(whose)
            passed_over[expected_kind, whose] = set()
        assert len(queues) == len(model.waiting)
