"""`signer policy` as an operator and a pipeline use it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from signer.cli.main import main
from signer.home.layout import Home
from signer.keys.argon import INSECURE_TESTS_ONLY
from signer.keys.file import FileKeyStore
from signer.keys.issue import issue
from signer.keys.passphrase import Passphrase
from signer.market.pairs import load_pairs, save_pairs
from signer.model import Call, Facts, Intent, Json
from signer.operator import pairs_list
from signer.policy import decide, load_policy
from signer.serving.clock import SystemClock
from signer.venues.kraken import orders as kraken_orders
from signer.venues.kraken.orders import PairTable
from signer.venues.kraken.vocabulary import WORDS
from tests.harness.journals import in_journal, place
from tests.harness.stores import SHAPE
from tests.unit.policy.examples import add, order

SHIPPED = Path(__file__).parents[2] / "policies"
LISTED = json.loads((Path(kraken_orders.__file__).parent / "asset_pairs.json").read_text())
ORDER = ("AddOrder", "pair=XBT/USD", "type=buy", "ordertype=limit", "volume=0.02", "price=50000")


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.policies.mkdir(parents=True)
    home.config.write_text("[accounts.main]\n")
    save_pairs(home.pairs("kraken"), LISTED)
    for file in SHIPPED.glob("*.toml"):
        (home.policies / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    store = FileKeyStore.create(
        home.keys, Passphrase(b"only ever used in this test", where="test"), INSECURE_TESTS_ONLY
    )
    credential = issue(SHAPE)
    store.add_client("bot", "main", "spot-trader", credential.api_key, credential.secret, created_us=1)
    return home


def signer(home: Home, *arguments: str) -> int:
    """The exit status of a `signer policy` command on this home."""
    return main(["--home", str(home.folder), "policy", *arguments])


def spend(home: Home, call: Call, txid: str) -> None:
    """Let it be on record in this home that ``call`` by the bot was accepted."""
    pairs = PairTable.built_in()
    policy = load_policy(home.policies / "spot-trader.toml", WORDS, pairs.find)
    decision = decide(policy, "bot", call, Facts(pairs.by_id, {}))

    intent = Intent(
        client="bot",
        account="main",
        endpoint=call.endpoint,
        orders=decision.orders,
        targets=(),
        charges=decision.charges,
        record="r",
        at_us=SystemClock().now_us(),
    )
    in_journal(home, lambda journal: place(journal, intent, txid))


def test_check_names_every_problem(home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each problem of each file is a line with file and key on stderr; good files are said to be good; status 3."""
    bad = tmp_path / "bad.toml"
    bad.write_text('version = 1\npermissions = ["withdraw-funds"]\nsides = ["up"]\n')
    assert signer(home, "check", str(bad), str(SHIPPED / "strict.toml")) == 3
    shown = capsys.readouterr()
    assert [line.split(": ")[:3] for line in shown.err.splitlines()] == [
        ["signer", str(bad), "permissions[0]"],
        ["signer", str(bad), "sides[0]"],
    ]
    assert shown.out == f"{SHIPPED / 'strict.toml'}: good\n"


def test_check_shows_who_is_uncapped(home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A policy without rails loads, and its reason is shown; scripts get it too."""
    free = tmp_path / "free.toml"
    free.write_text(
        'version = 1\npermissions = ["modify-trades"]\npairs = ["XBT/USD"]\nsides = ["buy"]\n'
        'order_types = ["market"]\nuncapped = "an empty account"\n'
    )
    assert signer(home, "check", str(free)) == 0
    assert capsys.readouterr().out == f"{free}: good, but UNCAPPED: an empty account\n"
    assert signer(home, "check", "--json", str(free)) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["uncapped"], row["problems"], len(row["hash"])) == ("an empty account", [], 64)


TYPO = (
    'version = 1\npermissions = ["modify-trades"]\npairs = ["XBT/USD", "SOL/USB"]\nsides = ["buy"]\n'
    'order_types = ["limit"]\nuncapped = "an empty account"\n'
)


def test_check_names_a_pair_that_the_exchange_does_not_list(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt or delisted pair is a problem, and the message proposes another."""
    typo = tmp_path / "typo.toml"
    typo.write_text(TYPO)
    assert signer(home, "check", str(typo)) == 3
    hint = "did you mean SOL/USD or SOL/EUR?"
    assert capsys.readouterr().err == f"signer: {typo}: pairs: the exchange lists no SOL/USB; {hint}\n"


def test_check_without_a_list_checks_the_rest(home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a list the command says that pairs are not checked, which is no problem."""
    typo = tmp_path / "typo.toml"
    typo.write_text(TYPO)
    home.pairs("kraken").unlink()
    home.config.write_text('[accounts.main]\norigin = "http://127.0.0.1:1"\n')
    assert signer(home, "check", str(typo)) == 0
    shown = capsys.readouterr()
    assert "cannot be had, names that signer does not know are not checked" in shown.err
    assert "SOL/USB is not checked yet" in shown.err
    assert signer(home, "check", "--json", str(typo)) == 0
    assert json.loads(capsys.readouterr().out)[0]["not_checked"] == ["SOL/USB"]
    home.config.write_text("broken")
    assert signer(home, "check", str(typo)) == 0


def test_check_fetches_the_list_and_keeps_it(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old list is fetched anew; it is kept only if no policy that loads stops loading with it."""
    os.utime(home.pairs("kraken"), (1, 1))
    fresh = {**LISTED, "NEWUSD": {"altname": "NEWUSD", "wsname": "NEW/USD"}}
    asked = 0

    async def fetched(*_: object) -> dict[str, Json]:
        nonlocal asked
        asked += 1
        return fresh

    monkeypatch.setattr(pairs_list, "fetch_pairs", fetched)
    typo = tmp_path / "new.toml"
    typo.write_text(TYPO.replace("SOL/USB", "NEW/USD"))
    assert signer(home, "check", str(typo)) == 0
    assert (asked, load_pairs(home.pairs("kraken"))) == (1, fresh)
    assert signer(home, "check", str(typo)) == 0
    assert asked == 1
    os.utime(home.pairs("kraken"), (1, 1))
    unbounded = (home.policies / "strict.toml").read_text()
    (home.policies / "hoping.toml").write_text(unbounded.replace("pairs = [", 'pairs = ["HOPE/CHF", '))
    fresh = {**fresh, "HOPECHF": {"altname": "HOPECHF", "wsname": "HOPE/CHF"}}
    assert signer(home, "check", str(typo)) == 0
    assert (asked, "HOPECHF" in (load_pairs(home.pairs("kraken")) or {})) == (2, False)


def test_explain_to_a_client(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """Rules, charges and what the book says is left, for the client's own policy, without the passphrase."""
    spend(home, add(order("0.04", "50000")), "OAAAAA-AAAAA-AAAAAA")
    assert signer(home, "explain", "--json", "--client", "bot", *ORDER) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["policy"], answer["allowed"], answer["fits"]) == ("spot-trader", True, True)
    assert {"rule": "permissions", "allows": True, "reason": "modify-trades is granted"} in answer["rules"]
    assert answer["charges"] == [
        {"cap": "notional 10000 USD / 24h", "unit": "USD", "needs": "1000", "left": "8000", "fits": True},
        {"cap": "orders 60 / 1m", "unit": "orders", "needs": "1", "left": "59", "fits": True},
    ]
    assert answer["calls"] == [{"limit": "at most 20 new in 10s", "needs": 1, "left": None, "fits": True}]
    assert signer(home, "explain", "--client", "bot", *ORDER) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("AddOrder by client bot under policy spot-trader (")
    assert "): allowed\n" in shown
    assert "notional 10000 USD / 24h" in shown
    assert re.search("at most 20 new in 10s +1 +not known", shown)


@pytest.mark.parametrize("window", ["24h", "1d", "1440m"])
def test_explain_remembers_what_was_used_under_another_limit(
    home: Home, capsys: pytest.CaptureFixture[str], window: str
) -> None:
    """A raised cap has left what the book says: limit less use, whatever the cap was called when it was charged."""
    file = home.policies / "spot-trader.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"10000 USD"', '"5000 USD"'), encoding="utf-8")
    spend(home, add(order("0.049", "50000")), "OAAAAA-AAAAA-AAAAAA")
    spend(home, add(order("0.049", "50000")), "OBBBBB-BBBBB-BBBBBB")
    file.write_text(text.replace('window = "24h"', f'window = "{window}"'), encoding="utf-8")
    signer(home, "explain", "--json", "--client", "bot", *ORDER)
    notional = json.loads(capsys.readouterr().out)["charges"][0]
    assert (notional["cap"], notional["left"]) == (f"notional 10000 USD / {window}", "5100")


@pytest.mark.parametrize(("sees", "notes"), [("own", ["add-funds", "export-data"]), ("account", [])])
def test_check_says_of_a_permission_that_it_can_never_pass(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str], sees: str, notes: list[str]
) -> None:
    """Every call of these permissions shows the whole account."""
    file = tmp_path / "exporter.toml"
    file.write_text(f'version = 1\npermissions = ["query-funds", "add-funds", "export-data"]\nsees = "{sees}"\n')
    assert signer(home, "check", str(file)) == 0
    why = 'can never pass: its calls show the whole account; add sees = "account"'
    said = capsys.readouterr().out.splitlines()[1:]
    assert said == [f"{file}: note: permissions: {word} {why}" for word in notes]


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ('order_types = ["limit", "market"]', ["order_types: market can never pass: no price bounds a market order"]),
        (
            'order_types = ["limit", "stop-loss", "stop-loss-limit", "take-profit"]',
            ["stop-loss can never pass: no price", "take-profit can never pass: no price"],
        ),
        ('order_types = ["limit", "trailing-stop"]', ["trailing-stop can never pass: prices relative to the market"]),
        ('order_types = ["limit"]\noflags = ["post", "viqc"]', ["oflags: viqc can never pass: the volume in XBT"]),
        ('order_types = ["limit", "settle-position"]', ["settle-position can never pass: orders on margin"]),
        ('order_types = ["limit", "iceberg", "stop-loss-limit"]\noflags = ["post", "fciq"]', []),
    ],
)
def test_check_says_what_can_never_pass(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str], stated: str, said: list[str]
) -> None:
    """A word that no order can use is named with the reason, and the policy is good all the same."""
    file = tmp_path / "bot.toml"
    file.write_text(
        f'version = 1\npermissions = ["modify-trades"]\npairs = ["XBT/USD"]\nsides = ["buy"]\n{stated}\n'
        'max_order_size = ["1 XBT"]\nmax_order_notional = ["100 USD"]\n'
        '[[cap]]\nwindow = "1d"\nmax_notional = "100 USD"\n'
    )
    assert signer(home, "check", str(file)) == 0
    notes = capsys.readouterr().out.splitlines()[1:]
    assert len(notes) == len(said)
    for note, words in zip(notes, said, strict=True):
        assert note.startswith(f"{file}: note: ")
        assert words in note
    assert signer(home, "check", "--json", str(file)) == 0
    assert len(json.loads(capsys.readouterr().out)[0]["never"]) == len(said)


def test_check_says_on_which_pairs_a_word_never_passes(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Market orders that one currency's cap forbids and another's does not are named with their pairs."""
    file = tmp_path / "bot.toml"
    file.write_text(
        'version = 1\npermissions = ["modify-trades"]\npairs = ["XBT/USD", "XBT/EUR"]\nsides = ["buy"]\n'
        'order_types = ["market"]\nuncapped = "euros are toys"\nmax_order_notional = ["100 USD"]\n'
    )
    assert signer(home, "check", str(file)) == 0
    assert "market can never pass on XBT/USD: no price" in capsys.readouterr().out


def test_the_shipped_policies_state_nothing_for_nothing(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """No example teaches a word that cannot be used."""
    assert signer(home, "check", *map(str, sorted(SHIPPED.glob("*.toml")))) == 0
    assert "never pass" not in capsys.readouterr().out


def test_explain_of_a_cap_that_is_used_up(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """What the policy allows but the cap does not is said so, with status 1."""
    for number in range(5):
        spend(home, add(order("0.04", "50000")), f"O{number}AAAA-AAAAA-AAAAAA")
    assert signer(home, "explain", "--client", "bot", *ORDER) == 1
    assert "): allowed, but over a cap\n" in capsys.readouterr().out


def test_explain_knows_the_clients_orders(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """Ownership is answered from the book: the bot's own order may go, an unknown one not."""
    spend(home, add(order("0.01")), "OAAAAA-AAAAA-AAAAAA")
    assert signer(home, "explain", "--client", "bot", "CancelOrder", "txid=OAAAAA-AAAAA-AAAAAA") == 0
    assert signer(home, "explain", "--client", "bot", "CancelOrder", "txid=OBBBBB-BBBBB-BBBBBB") == 1
    assert "ownership" in capsys.readouterr().out


def test_explain_by_policy(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """A policy of the home by name, or any file, can be asked without a client; denials have status 1."""
    assert signer(home, "explain", "--policy", "strict", *ORDER) == 1
    assert "): denied\n" in capsys.readouterr().out
    assert signer(home, "explain", "--policy", str(SHIPPED / "spot-trader.toml"), *ORDER) == 0


def test_explain_what_is_not_understood(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """A call that no policy is asked about says so, for people and for scripts."""
    assert signer(home, "explain", "--policy", "strict", "Sudo") == 1
    assert "refused before any policy is asked: EGeneral:Unknown method" in capsys.readouterr().out
    assert signer(home, "explain", "--json", "--policy", "strict", "AddOrder", "colour=red") == 1
    assert json.loads(capsys.readouterr().out)["rules"][0]["rule"] == "not-understood"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--policy", "none", "Balance"), 3, "none.toml: there is no such file"),
        (("--client", "none", "Balance"), 3, "there is no client 'none'; known are: bot"),
        (("Balance",), 2, "Give either --client or --policy."),
        (("--client", "bot", "--policy", "strict", "Balance"), 2, "Give either --client or --policy."),
        (("--policy", "strict", "Balance", "asset"), 2, "write each field once, as FIELD=VALUE"),
        (("--policy", "strict", "Balance", "asset=XBT", "asset=ETH"), 2, "write each field once, as FIELD=VALUE"),
    ],
)
def test_explain_asked_wrongly(
    home: Home, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], status: int, message: str
) -> None:
    """A name or field that is wrong is a message with the hint, and never an answer."""
    assert signer(home, "explain", *arguments) == status
    shown = capsys.readouterr()
    assert message in shown.err
    assert not shown.out


def test_cases_of_the_home(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """The command without a folder runs all cases of the home."""
    assert signer(home, "test") == 0
    assert capsys.readouterr().out.endswith("cases, 0 failed.\n")


def test_a_case_that_does_not_hold(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """A policy that no longer answers as its cases say fails the run, and the case says how."""
    cases = home.policies / "strict.cases.toml"
    cases.write_text(
        '[[case]]\nname = "reads"\ncall = "Balance"\nexpect = "allow"\n'
        '[[case]]\nname = "sees"\ncall = "OpenOrders"\nexpect = "deny"\nrules = ["permissions"]\n'
        '[[case]]\nname = "why"\ncall = "Balance"\nexpect = "deny"\nrules = ["pairs"]\n'
        '[[case]]\nname = "spends"\ncall = "OpenOrders"\nexpect = "allow"\ncharges = { "orders 1 / 1s" = "1" }\n'
    )
    assert signer(home, "test", "--json") == 1
    failed = {row["case"]: row["problem"] for row in json.loads(capsys.readouterr().out) if row["problem"]}
    assert failed == {
        "reads": "it is denied by permissions: Balance needs query-funds",
        "sees": "it is allowed",
        "why": "expected the rules ['pairs'], got ['permissions']: Balance needs query-funds",
        "spends": "expected the charges {'orders 1 / 1s': '1'}, got {}",
    }
    assert signer(home, "test") == 1
    assert "strict: sees: it is allowed" in capsys.readouterr().out


def test_cases_that_test_nothing(home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No cases, cases without a policy and misspelt cases are errors, since they would seem to pass."""
    empty = tmp_path / "empty"
    empty.mkdir()
    assert signer(home, "test", str(empty)) == 3
    assert "there is no *.cases.toml file" in capsys.readouterr().err
    (empty / "lost.cases.toml").write_text("")
    assert signer(home, "test", str(empty)) == 3
    assert "there is no policy beside these cases" in capsys.readouterr().err
    (home.policies / "strict.cases.toml").write_text('[[case]]\nname = "a"\ncall = "Balance"\nexpects = "deny"\n')
    assert signer(home, "test") == 3
    assert "case[0].expects: there is no such key; did you mean expect?" in capsys.readouterr().err
