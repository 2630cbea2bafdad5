"""For every answer of Kraken's shape: the bytes of names of ours change, and no other byte does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer.errors import VenueError
from signer.model import ClientNames
from tests.unit.venues.kraken.asking import KRAKEN, form

OPEN = form("OpenOrders", {})
UUID = "7c0a9d52-0f5b-4d0e-9a27-5f0a3cf1b2d4"
OURS: Mapping[str, ClientNames] = {
    "1879048193": ClientNames("7"),
    "1879048194": ClientNames(),
    "1879048195": ClientNames("-2147483648"),
    UUID: ClientNames(None, 'a "b" \\'),
    UUID.replace("7c", "8d"): ClientNames(),
}
"""What the client calls the orders of our names."""
FOREIGN = ["1879048199", "0", "null"]
"""Names that are none of ours, as the exchange writes them."""


class Text(NamedTuple):
    """A piece of an answer, as the exchange writes it and as the client reads it."""

    sent: str
    read: str


def same(text: str) -> Text:
    """A piece that does not change."""
    return Text(text, text)


def joined(pieces: list[Text], separator: str, begin: str, end: str) -> Text:
    """Pieces between brackets."""
    return (
        Text(*(begin + separator.join(texts) + end for texts in zip(*pieces, strict=True)))
        if pieces
        else same(begin + end)
    )


spaces = st.text(" \n\t", max_size=2)
strange = st.sampled_from(
    ['"userref":1879048193', f'{{"cl_ord_id":"{UUID}"}}', '\\"userref\\":1879048193', 'userref', 'userref":1', "\\",
     '\\"', "é\u2028"]
)  # fmt: skip
words = st.builds(
    lambda text, ascii_only: json.dumps(text, ensure_ascii=ascii_only), st.text(max_size=5) | strange, st.booleans()
)
numbers = st.sampled_from(["0", "-1", "1.10000000000000000001", "1e400", "0.1E-7", "123456789012345678901234567890"])
leaves = st.builds(same, words | numbers | st.sampled_from(["null", "true", "false"]))


def tag(name: str) -> Text:
    """A userref of the order."""
    given = OURS.get(name)
    return Text(name, name if given is None else given.tag or "null")


def identity(name: str) -> Text:
    """A cl_ord_id of the order."""
    given = OURS[name].id
    return Text(f'"{name}"', "null" if given is None else json.dumps(given))


tags = st.builds(tag, st.sampled_from([*(name for name in OURS if "-" not in name), *FOREIGN]))
identities = st.builds(identity, st.sampled_from([name for name in OURS if "-" in name])) | st.just(same("null"))
names = st.builds(lambda value: ('"userref"', value), tags) | st.builds(
    lambda value: ('"cl_ord_id"', value), identities
)


def member(key: str, before: str, after: str, value: Text) -> Text:
    """A member of an object."""
    return Text(*(f"{key}{before}:{after}{text}" for text in value))


def listed(inner: st.SearchStrategy[Text]) -> st.SearchStrategy[Text]:
    """A list of values."""
    return st.builds(
        lambda items, gap: joined(items, "," + gap, "[" + gap, gap + "]"), st.lists(inner, max_size=3), spaces
    )


Named = tuple[str, Text]


def table(inner: st.SearchStrategy[Text]) -> st.SearchStrategy[Text]:
    """An object with at most one name of each kind. Keys that are names of orders stand only before such a name."""
    spaced = st.builds(lambda word: word[:-1] + ' "', words)  # the space makes it no name
    keys = spaced | st.sampled_from(['"\\"userref"', '"\\\\\\"cl_ord_id"', '"Userref"'])
    plain: st.SearchStrategy[Named] = st.tuples(keys, inner)
    members = st.lists(plain | names, max_size=4, unique_by=lambda one: str(json.loads(one[0])))
    return st.builds(
        lambda rows, before, after: joined(
            [member(key, before, after, value) for key, value in rows], f",{before}", "{" + after, before + "}"
        ),
        members,
        spaces,
        spaces,
    )


answers = st.recursive(leaves, lambda inner: listed(inner) | table(inner), max_leaves=12)


def called(own: str, _venue_id: str) -> ClientNames | None:
    """What the client calls the order of a name."""
    return OURS.get(own)


def restored(body: str) -> str:
    """The answer as the client reads it."""
    return KRAKEN.restored(OPEN, body.encode(), called).decode()


@given(answers)
def test_only_the_bytes_of_names_of_ours_change(answer: Text) -> None:
    """Numbers, spaces, escapes, order of keys and text that looks like a name stay as the exchange wrote them."""
    assert restored(answer.sent) == answer.read


@given(listed(table(leaves)), st.floats(0, 1), st.sampled_from(["cut", "lost", "doubled"]))
def test_a_broken_answer_is_refused_or_has_no_name_of_ours(
    answer: Text, place: float, kind: Literal["cut", "lost", "doubled"]
) -> None:
    """Cut, doubled or with a byte lost anywhere: it raises the one error, or what comes out names no order by ours."""
    at = int(place * len(answer.sent))
    broken = {
        "cut": answer.sent[:at], "lost": answer.sent[:at] + answer.sent[at + 1 :], "doubled": answer.sent[:at] * 2
    }[kind]  # fmt: skip
    try:
        read = json.loads(restored(broken))
    except (VenueError, ValueError):
        return
    assert not list(_named(read))


def _named(read: object) -> list[str]:
    """The names of ours that an answer gives to orders."""
    if isinstance(read, list):
        return [name for item in read for name in _named(item)]
    if not isinstance(read, dict):
        return []
    mine = [str(read.get(key)) for key in ("userref", "cl_ord_id") if not isinstance(read.get(key), dict | list)]
    return [name for name in mine if name in OURS] + [name for item in read.values() for name in _named(item)]


@pytest.mark.parametrize(
    "body", ["[" * 100_000 + '"userref"', '{"userref":' * 100_000, '{"userref":11,' * 50_000, '"userref":"' * 100_000,
             '{"userref":' + "9" * 100_000 + "}", '{"userref":1879048193.0}', '{"userref":[1879048193]}',
             '{"userref":true}', '{"cl_ord_id":1879048193}']
)  # fmt: skip
def test_an_answer_in_which_a_name_does_not_read_is_refused(body: str) -> None:
    """However deep or long it is, and whatever a name is written as."""
    with pytest.raises(VenueError):
        restored(body)
