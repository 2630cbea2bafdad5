"""Policy files: what loads, what does not, and what the message says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from signer.errors import ConfigError
from signer.policy import load_policies, load_policy
from signer.policy.load import VenueTerms
from signer.policy.resolve import near
from signer.venues.kraken.vocabulary import WITHHELD, WORDS
from tests.unit.policy.examples import KNOWN, TRADER, find, make, policy, policy_file

GOOD = """
version = 1
permissions = ["modify-trades"]
pairs = ["BTC/USD"]
sides = ["buy"]
order_types = ["limit"]
max_order_size = ["0.5 BTC"]
max_order_notional = ["2500 ZUSD"]
[[cap]]
max_notional = "10000.00 USD"
window = "24h"
max_orders = 60
"""


def complaints(path: Path) -> list[str]:
    """The lines of the error that loading ``path`` raises, without its name."""
    with pytest.raises(ConfigError) as caught:
        load_policy(path, WORDS, find, KNOWN)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


def test_names_and_units_are_canonical(tmp_path: Path) -> None:
    """Pairs and units of any spelling come out as the venue's ids and the common assets."""
    loaded = load_policy(policy_file(tmp_path / "buyer.toml", GOOD), WORDS, find, KNOWN)
    assert (loaded.name, set(loaded.limits), set(loaded.sizes)) == ("buyer", {"XXBTZUSD"}, {"XBT"})
    assert [cap.name for cap in loaded.notional_caps["USD"]] == ["notional 10000 USD / 24h"]
    assert [cap.name for cap in loaded.order_caps] == ["orders 60 / 24h"]
    assert loaded.permissions == {"modify-trades"}
    assert loaded.uncapped == ""


def test_all_problems_of_form_at_once(tmp_path: Path) -> None:
    """Each wrong key is one line with file, key, what is wrong and the hint."""
    text = """
    versoin = 1
    permissions = ["modify-trades", "fly"]
    sides = ["bid"]
    max_order_size = [0.5]
    max_order_notional = ["2,500 USD"]
    leverage = 2.5
    uncapped = ""
    [[cap]]
    max_notional = 10000
    window = "1 day"
    max_order = 3
    """
    lines = complaints(policy_file(tmp_path / "bad.toml", text))
    assert [line.partition(":")[0] for line in lines] == [
        "version",
        "permissions[1]",
        "sides[0]",
        "leverage",
        "max_order_size[0]",
        "max_order_notional[0]",
        "cap[0].window",
        "cap[0].max_notional",
        "cap[0].max_order",
        "uncapped",
        "versoin",
    ]
    assert 'max_order_size[0]: 0.5 does not fit; write amounts with their unit, as "0.5 XBT"' in lines
    assert "versoin: there is no such key; did you mean version?" in lines
    assert "cap[0].max_order: there is no such key; did you mean max_orders?" in lines
    assert "sides[0]: \"bid\" does not fit; write 'buy' or 'sell'" in lines


@pytest.mark.parametrize("word", sorted(WITHHELD))
def test_withheld_permissions(tmp_path: Path, word: str) -> None:
    """No policy can grant what moves money out, or what trades past every policy; the message says why."""
    path = policy_file(tmp_path / "greedy.toml", f'version = 1\npermissions = ["{word}"]\n')
    assert complaints(path) == [f'permissions[0]: "{word}" is granted to nobody: {WITHHELD[word]}; remove it']


HINT = "name a pair such as XBT/USD"


def test_what_cannot_be_a_pair_is_a_problem() -> None:
    """No exchange will ever list it; it is named with its key."""
    for text in ("?", "XBT/", "/USD", "XBT USD", "", "XBT/USD/EUR", "XBT/USD\n", "ẞBT/USD"):
        _, problems = make(pairs=["XBT/USD", "ETH/USD", text])
        assert problems == [f'pairs[2]: no pair is called "{text}"; {near(text, KNOWN) or HINT}']


@pytest.mark.parametrize("name", ["ETH/USB", "SOL/USD", "SOLUSD", "NEW.S/USD", "FOOUSD.d"])
def test_a_pair_that_is_not_listed_stops_that_pair_only(name: str) -> None:
    """The rest of the policy loads as it would without it, and the policy says what it named in vain."""
    without, with_it = policy(uncapped="for tests"), policy(pairs=["XBT/USD", name, "ETH/USD"], uncapped="for tests")
    assert set(with_it.limits) == {"XXBTZUSD", "XETHZUSD"}
    assert set(with_it.unlisted) == {name}
    assert with_it.limits == without.limits
    assert with_it.hash != without.hash


def test_an_unlisted_pair_proposes_the_nearest() -> None:
    """The message proposes the nearest listed pair, since the unlisted one may be misspelt."""
    assert policy(pairs=["XBT/USD", "ETH/USB"], uncapped="for tests").unlisted == {"ETH/USB": "did you mean ETH/USD?"}


@pytest.mark.parametrize("name", ["SOL/EUR", "SOLEUR", "sol/eur"])
def test_rails_for_an_unlisted_pair_fit(name: str) -> None:
    """Limits for a pair that is not listed yet are no mistake."""
    caps = [*TRADER["cap"], {"max_notional": "1000 EUR", "window": "24h"}]
    sizes, notionals = [*TRADER["max_order_size"], "5 SOL"], [*TRADER["max_order_notional"], "500 EUR"]
    made = policy(pairs=["XBT/USD", "ETH/USD", name], max_order_size=sizes, max_order_notional=notionals, cap=caps)
    assert set(made.unlisted) == {name}
    assert set(policy(pairs=["XBT/USD", "ETH/USD", name]).unlisted) == {name}


def test_a_cap_stays_when_the_last_pair_of_its_currency_is_delisted() -> None:
    """Whether the unit fits cannot be told of a name that does not tell its currency, so it stands."""
    made = policy(pairs=["XBT/USD", "ETH/USD", "FOOBAR"], max_order_notional=["2500 USD", "7 BAR"])
    assert set(made.notionals) == {"USD", "BAR"}


@pytest.mark.parametrize("key", ["max_order_size", "max_order_notional", "cap"])
def test_rails_or_refuse(key: str) -> None:
    """A trading policy without one of its rails does not load, and names each pair that nothing bounds."""
    made, problems = make(**{key: []})
    assert made is None
    assert [problem.split(" may be")[0] for problem in problems] == [f"{key}: XBT/USD", f"{key}: ETH/USD"]
    assert all('uncapped = "reason"' in problem for problem in problems)


@pytest.mark.parametrize("permissions", [["modify-trades"], ["close-trades"]])
def test_rails_for_whoever_can_change_an_order(permissions: list[str]) -> None:
    """close-trades alone is enough to amend an order upwards, so it needs the rails too."""
    made, _ = make(permissions=permissions, max_order_size=[])
    assert made is None


def test_a_cap_for_each_asset() -> None:
    """A cap in one currency does not cover another."""
    _, problems = make(pairs=["XBT/USD", "ETH/USD", "DOGE/EUR"])
    assert [problem.partition(": ")[0] for problem in problems] == ["max_order_size", "max_order_notional", "cap"]
    assert all("XDG/EUR may be traded" in problem for problem in problems)


def test_orders_per_window_are_no_rail() -> None:
    """A cap on the number of orders does not stand in for one on their value."""
    made, _ = make(cap=[{"max_orders": 1, "window": "1d"}])
    assert made is None


def test_uncapped_says_why() -> None:
    """With a reason, and only with one, a policy trades without rails."""
    made = policy(max_order_size=[], max_order_notional=[], cap=[], uncapped="a test account")
    assert made.uncapped == "a test account"


@pytest.mark.parametrize("key", ["pairs", "sides", "order_types"])
def test_trading_says_what(key: str) -> None:
    """modify-trades without pairs, sides or order types is a mistake, not a wildcard."""
    made, problems = make(**{key: [], "max_order_size": [], "max_order_notional": [], "cap": [], "uncapped": "test"})
    assert made is None
    assert [problem.partition(": ")[0] for problem in problems] == [key]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"max_order_size": ["0.5 XBT", "1 BTC", "10 ETH"]}, "max_order_size[1]: XBT is stated twice"),
        ({"max_order_size": ["0.5 XBT", "10 ETH", "1 EUR"]}, "max_order_size[2]: no listed pair trades in EUR"),
        ({"max_order_notional": ["0 USD"]}, "max_order_notional[0]: the amount is 0"),
        ({"cap": [{"window": "1d"}]}, "cap[0]: the cap counts nothing"),
        (
            {"cap": [{"max_notional": "9 USD", "window": "24h"}, {"max_notional": "8 USD", "window": "1d"}]},
            "cap[1]: USD within 1d has a cap already",
        ),
    ],
)
def test_amounts_that_cannot_be_meant(changes: dict[str, object], expected: str) -> None:
    """Doubled, empty, zero and unrelated limits are errors rather than guesses."""
    made, problems = make(**changes)
    assert made is None
    assert problems[0].startswith(expected)


def test_case_of_units() -> None:
    """Units are read in any case, and keep the venue's own."""
    made = policy(pairs=["AAPLx/USD"], max_order_size=["3 aaplx"], max_order_notional=["9 usd"])
    assert set(made.sizes) == {"AAPLx"}


def test_hash_is_of_the_meaning() -> None:
    """Spelling, order and description change nothing; a changed limit does."""
    one = policy(pairs=["XBT/USD", "ETH/USD"], description="one")
    same = policy(
        pairs=["ETHUSD", "BTC/USD"], sides=["sell", "buy"], max_order_size=["10.0 ETH", "0.50 BTC"], description="two"
    )
    assert one.hash == same.hash
    assert one.hash == policy(pairs=["XBT/USD", "ETH/USD"], review_by="2027-01-31").hash
    assert len({one.hash, policy(max_order_size=["0.4 XBT", "10 ETH"]).hash, policy(sides=["buy"]).hash}) == 3


VENUES = {"kraken": VenueTerms(WORDS, find, KNOWN)}


def test_each_policy_is_read_by_the_words_of_its_venue(tmp_path: Path) -> None:
    """With several venues a policy names its own; one that names none, or another, is broken."""
    okx = replace(WORDS, venue="okx", order_types=("post_only",))
    policy_file(tmp_path / "here.toml", 'venue = "kraken"\n' + GOOD)
    policy_file(tmp_path / "there.toml", 'venue = "okx"\n' + GOOD.replace('["limit"]', '["post_only"]'))
    policy_file(tmp_path / "wrong.toml", 'venue = "okx"\n' + GOOD)
    policy_file(tmp_path / "none.toml", GOOD)
    policy_file(tmp_path / "unknown.toml", 'venue = "bybit"\n' + GOOD)
    loaded = load_policies(tmp_path, {**VENUES, "okx": VenueTerms(okx, find, KNOWN)})
    assert {name: one.words.venue for name, one in loaded.policies.items()} == {"here": "kraken", "there": "okx"}
    assert "order_types" in loaded.broken["wrong"]
    assert loaded.broken["none"] == f"{tmp_path}/none.toml: venue: the key is missing; use one of: kraken, okx"
    assert '"bybit" is no venue of the home\'s accounts' in loaded.broken["unknown"]


def test_the_only_venue_need_not_be_named(tmp_path: Path) -> None:
    """To name it changes nothing, not even the hash; another one is refused."""
    policy_file(tmp_path / "a.toml", GOOD)
    policy_file(tmp_path / "b.toml", 'venue = "kraken"\n' + GOOD)
    policy_file(tmp_path / "c.toml", 'venue = "okx"\n' + GOOD)
    loaded = load_policies(tmp_path, VENUES)
    assert loaded.policies["a"].hash == loaded.policies["b"].hash
    assert loaded.broken["c"].startswith(f'{tmp_path}/c.toml: venue: "okx" is another venue than kraken')


def test_a_broken_file_concerns_itself_alone(tmp_path: Path) -> None:
    """The others load, and of each broken one every problem is told; cases are no policies."""
    policy_file(tmp_path / "good.toml", GOOD)
    policy_file(tmp_path / "good.cases.toml", "nonsense")
    loaded = load_policies(tmp_path, VENUES)
    assert (set(loaded.policies), loaded.broken) == ({"good"}, {})
    policy_file(tmp_path / "bad.toml", "version = 1")
    policy_file(tmp_path / "worse.toml", "version = ")
    loaded = load_policies(tmp_path, VENUES)
    assert set(loaded.policies) == {"good"}
    assert loaded.broken["bad"] == f"{tmp_path / 'bad.toml'}: permissions: the key is missing; add permissions"
    assert loaded.broken["worse"].startswith(f"{tmp_path / 'worse.toml'}: not valid TOML: ")


def test_folder_or_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing file or folder is named; a missing folder is not a folder without policies."""
    with pytest.raises(ConfigError, match="there is no such folder"):
        load_policies(tmp_path / "none", VENUES)
    with pytest.raises(ConfigError, match="there is no such file"):
        load_policy(tmp_path / "none.toml", WORDS, find)


def test_file_that_is_not_text(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are an error in words."""
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_policy(path, WORDS, find)


def test_limits_of_calls_are_read(tmp_path: Path) -> None:
    """The spelling and order of limits make no difference to the policy's hash."""
    first = GOOD + '[[max_calls]]\nwindow = "60s"\nnew = 100\n[[max_calls]]\nwindow = "10s"\nnew = 20\ncancel = 50\n'
    second = GOOD + '[[max_calls]]\nwindow = "10s"\ncancel = 50\nnew = 20\n[[max_calls]]\nwindow = "1m"\nnew = 100\n'
    one, other = (load_policy(policy_file(tmp_path / "one.toml", text), WORDS, find, KNOWN) for text in (first, second))
    assert [limit.name for limit in one.max_calls["new"]] == ["at most 100 new in 60s", "at most 20 new in 10s"]
    assert [(limit.calls, limit.window_s) for limit in one.max_calls["cancel"]] == [(50, 10)]
    assert (one.max_calls["read"], one.hash) == ((), other.hash)
    assert one.hash != load_policy(policy_file(tmp_path / "one.toml", GOOD), WORDS, find, KNOWN).hash


def test_limits_of_calls_that_make_no_sense(tmp_path: Path) -> None:
    """A limit that counts nothing, is stated twice, has no number of calls or an unknown word is refused."""
    text = (
        GOOD
        + """
    [[max_calls]]
    window = "10s"
    [[max_calls]]
    window = "1m"
    new = 5
    [[max_calls]]
    window = "60s"
    new = 6
    """
    )
    assert complaints(policy_file(tmp_path / "odd.toml", text)) == [
        "max_calls[0]: nothing is counted; add one of new, amend, cancel, read, as new = 20",
        "max_calls[2]: new within 60s has a limit already; keep the one that is meant",
    ]
    text = GOOD + '[[max_calls]]\nwindow = "10s"\nnew = 0\norders = 5\nread = "many"\n'
    found = complaints(policy_file(tmp_path / "odd.toml", text))
    assert [line.partition(":")[0] for line in found] == [
        "max_calls[0].new", "max_calls[0].read", "max_calls[0].orders",
    ]  # fmt: skip
