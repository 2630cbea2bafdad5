"""Halts: which one counts for a call, what it refuses, what follows it, and the words about it."""

from __future__ import annotations

import pytest

from signer.model import Action, Halt, HaltScope, HaltState
from signer.model.halts import EVERYBODY, ended_by, halt_for, plain_pair, resumed_by, unreadable, whom

WIDEST_FIRST = [
    EVERYBODY,
    HaltScope(account="main"),
    HaltScope(group="grids"),
    HaltScope("bot"),
    HaltScope("bot", "main"),
    HaltScope(pair="XXBTZUSD"),
]
OTHERS = [
    HaltScope("other"),
    HaltScope(account="second"),
    HaltScope("bot", "second"),
    HaltScope(pair="XETHZUSD"),
    HaltScope("other", pair="XXBTZUSD"),
]


def halt(scope: HaltScope, state: HaltState = "halted", clients: tuple[str, ...] = ("bot",)) -> Halt:
    """A halt by an operator."""
    return Halt(scope, f"{state} drill", "ann", 1, state, clients if scope.group else ())


def test_the_widest_halt_counts() -> None:
    """Everybody's comes before the account's, the group's, the client's, and the pair's."""
    halts = {of: halt(of) for of in reversed(WIDEST_FIRST)}
    for of in WIDEST_FIRST:
        assert halt_for(halts, "bot", "main", ["XETHZEUR", "XXBTZUSD"]) is halts.pop(of)
    assert halt_for({of: halt(of) for of in OTHERS}, "bot", "main", ["XXBTZUSD"]) is None


def test_a_halt_counts_before_a_wider_one_that_lets_more_pass() -> None:
    """The strictest of all that fit decides what is refused."""
    halts = {of: halt(of, "cancel_only") for of in WIDEST_FIRST} | {HaltScope("bot"): halt(HaltScope("bot"))}
    assert halt_for(halts, "bot", "main") is halts[HaltScope("bot")]


def test_a_pair_is_halted_by_every_spelling_of_its_parts() -> None:
    """A brake of a pair that no list has is compared without case and without the signs between its parts."""
    assert plain_pair("foo/usd") == plain_pair("FOO-USD") == "FOOUSD"
    assert halt(HaltScope(pair="FOOUSD")).stops("bot", "main", ["FOO-USD"])
    assert not halt(HaltScope(pair="FOOUSD")).stops("bot", "main", ["FOOUSD.d"])
    assert not halt(HaltScope(pair="FOOUSD")).stops("bot", "main")


def test_a_group_whose_clients_nobody_knows_stops_everybody() -> None:
    """Nobody can tell whom it meant."""
    scope = HaltScope(group="grids")
    assert halt(scope, clients=()).stops("anybody", "main")
    assert not halt(scope).stops("anybody", "main")


@pytest.mark.parametrize("state", ["halted", "cancel_only"])
def test_reads_and_cancels_always_pass(state: HaltState) -> None:
    """Orders never do. A call that changes something else passes where only cancels of orders do."""
    refused = {action for action in Action if halt(EVERYBODY, state).refuses(action)}
    assert refused == {Action.ORDER} | ({Action.WRITE} if state == "halted" else set())


@pytest.mark.parametrize(
    ("before", "after", "stands"),
    [
        (None, "cancel_only", "cancel_only drill"),
        ("halted", "cancel_only", "halted drill"),
        ("cancel_only", "halted", "halted drill"),
        ("cancel_only", "cancel_only", "cancel_only drill"),
    ],
)
def test_only_a_person_resumes(before: HaltState | None, after: HaltState, stands: str) -> None:
    """A halt that lets more pass does not take the place of a stricter one, with its reason."""
    earlier = None if before is None else halt(EVERYBODY, before)
    assert halt(EVERYBODY, after).after(earlier).reason == stands


@pytest.mark.parametrize(
    ("before", "after", "clients"),
    [(("ada",), ("bob",), ("ada", "bob")), ((), ("bob",), ()), (("ada",), (), ())],
)
def test_a_second_halt_of_a_group_frees_nobody(
    before: tuple[str, ...], after: tuple[str, ...], clients: tuple[str, ...]
) -> None:
    """It has the clients of both; if those of one are not known, it has everybody."""
    scope = HaltScope(group="grids")
    assert halt(scope, clients=after).after(halt(scope, clients=before)).clients == clients


@pytest.mark.parametrize(
    ("scope", "words", "command"),
    [
        (EVERYBODY, "everybody", "signer resume --all"),
        (HaltScope(account="main"), "account main", "signer resume --account main"),
        (HaltScope("my bot"), "client my bot", "signer resume --client 'my bot'"),
        (HaltScope(group="grids"), "group grids", "signer resume --group grids"),
        (HaltScope(pair="XXBTZUSD"), "pair XXBTZUSD", "signer resume --pair XXBTZUSD"),
    ],
)
def test_a_halt_names_whom_it_stops_and_what_ends_it(scope: HaltScope, words: str, command: str) -> None:
    """The command can be pasted into a shell, whatever the name."""
    assert (whom(scope), resumed_by(scope)) == (words, command)
    assert ended_by(halt(scope)) == f"`{command}` ends it"


def test_everybody_is_halted_while_the_halts_cannot_be_read() -> None:
    """The hint names no command, because no command ends this halt."""
    found = halt_for(unreadable(7), "bot", "main")
    assert found is not None
    assert (found.by, found.at_us, ended_by(found)) == ("signer", 7, found.cure)
    assert found.cure
