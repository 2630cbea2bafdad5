"""Halts: which one is in force, and the words about it."""

from __future__ import annotations

import pytest

from signer.model import Halt
from signer.model.halts import ended_by, halt_for, resumed_by, unreadable, whom


def halt(client: str, account: str) -> Halt:
    """A halt by an operator."""
    return Halt(client, account, "drill", "ann", 1)


def test_the_widest_halt_is_in_force() -> None:
    """Everybody's comes before the account's, that before the client's, and the one of both is the last."""
    order = [("", ""), ("", "main"), ("bot", ""), ("bot", "main")]
    halts = {of: halt(*of) for of in reversed(order)}
    for of in order:
        assert halt_for(halts, "bot", "main") is halts.pop(of)
    assert halt_for(halts, "bot", "main") is None
    assert halt_for({("other", ""): halt("other", "")}, "bot", "main") is None


@pytest.mark.parametrize(
    ("client", "account", "words", "command"),
    [
        ("", "", "everybody", "signer resume --all"),
        ("", "main", "account main", "signer resume --account main"),
        ("my bot", "", "client my bot", "signer resume --client 'my bot'"),
    ],
)
def test_a_halt_names_whom_it_stops_and_what_ends_it(client: str, account: str, words: str, command: str) -> None:
    """The command can be pasted into a shell, whatever the name."""
    assert (whom(client, account), resumed_by(client, account)) == (words, command)
    assert ended_by(halt(client, account)) == f"`{command}` ends it"


def test_everybody_is_halted_while_the_halts_cannot_be_read() -> None:
    """The hint names no command, because no command ends this halt."""
    found = halt_for(unreadable(7), "bot", "main")
    assert found is not None
    assert (found.by, found.at_us, ended_by(found)) == ("signer", 7, found.cure)
    assert found.cure
