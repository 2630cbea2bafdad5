"""`signer doctor`: the page, its JSON and its exit status, on a good home and on broken ones, alone and beside."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from signer.cli.main import main
from signer.doctor import disks
from signer.home.layout import Home
from signer.model import Role
from signer.sandbox.faults import Errors
from signer.sandbox.server import RunningSandbox
from tests.harness.exchanges import small_exchange
from tests.harness.gateways import running
from tests.harness.homes import MadeHome


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    """An exchange."""
    with small_exchange() as started:
        yield started


@pytest.fixture
def made(sandbox: RunningSandbox, tmp_path: Path) -> MadeHome:
    """A home with a key and a client; its folder can be broken."""
    home = MadeHome(tmp_path / "home", sandbox)
    home.add_account("main")
    home.add_client("bot", "main", "trader")
    return home


def doctor(made: MadeHome, *options: str) -> tuple[int, str]:
    """Exit status and page."""
    with redirect_stdout(StringIO()) as told:
        status = main(["--home", str(made.home.folder), "doctor", *options])
    return status, told.getvalue()


def findings(made: MadeHome) -> list[dict[str, Any]]:
    """Return the findings as `--json` tells them."""
    status, told = doctor(made, "--json")
    answer = json.loads(told)
    assert answer["ok"] == (status == 0)
    return list(answer["findings"])


def test_a_good_home(made: MadeHome) -> None:
    """Every subject is told of, the key was asked about, warnings alone are no reason to fail."""
    status, page = doctor(made)
    assert status == 0, page
    for line in ("Files", "Settings", "Keys", "Exchange", "Listeners", "Book and audit log", "Disk", "Versions"):
        assert f"\n{line}\n" in f"\n{page}"
    assert "  ✓ credential main-key: signs (role trade, store file)" in page
    assert "  ! credential main-key: may be used from any address\n    → allow only the address" in page
    assert "✗" not in page
    assert page.splitlines()[-1].endswith("warnings.")
    assert max(map(len, page.splitlines())) < 200


def test_beside_a_running_gateway(made: MadeHome) -> None:
    """The gateway asks for it, by its own lane, and what it loaded and where it answers is told."""
    with running(made) as gateway:
        told = findings(made)
        assert not [one for one in told if one["weight"] in {"error", "refused"}], told
        assert {"gateway", "listener", "load", "audit"} <= {one["kind"] for one in told}
        assert "version" not in {one["kind"] for one in told}
        (made.home.policies / "slow.toml").touch()
        assert "stale" in {one["kind"] for one in findings(made)}
        made.home.config.write_text(made.home.config.read_text() + "[nonsense]\n")
        assert gateway.reload()
        errors = [one for one in findings(made) if one["weight"] == "error"]
        assert {("settings", "config"), ("listeners", "load")} == {(one["subject"], one["kind"]) for one in errors}


def test_nothing_is_changed(made: MadeHome) -> None:
    """Settings, keys, policies and log keep their bytes; only the exchange's answer is kept."""
    with running(made) as gateway:
        assert gateway.is_ready()

    def state() -> dict[str, bytes]:
        kept = [made.home.config, made.home.keys, made.home.passphrase, made.home.pairs("kraken")]
        more = [*made.home.policies.iterdir(), *made.home.audit.iterdir()]
        return {str(path): path.read_bytes() for path in [*kept, *more]}

    before = state()
    assert doctor(made)[0] == 0
    assert state() == before


def test_a_key_that_may_do_too_much_is_judged_as_the_start_judges_it(made: MadeHome, sandbox: RunningSandbox) -> None:
    """Refused here as there, alone and beside, and the exit status says so."""
    made.add_key("extra", "main", Role.FUNDING)
    made.home.config.write_text(made.home.config.read_text().replace("[waivers.extra]", "[waivers.other]"))
    alone = [one for one in findings(made) if one["weight"] == "refused"]
    assert {one["about"] for one in alone} == {"credential extra"}
    with running(made):
        assert [one for one in findings(made) if one["weight"] == "refused"] == alone
    assert "  ✗ refused: credential extra: may " in doctor(made)[1]


def test_a_key_that_the_exchange_refuses_is_not_tried_anew(made: MadeHome, sandbox: RunningSandbox) -> None:
    """A doctor that runs daily would lock the account; a person who has fixed the key runs `keys test`."""
    with running(made) as gateway:
        assert gateway.is_ready()
        sandbox.control.add_fault(Errors(endpoint="GetApiKeyInfo", count=100, errors=("EAPI:Invalid key",)))
        assert "refused the key" in told_of_key(made)
        before = made.arrivals("main", "GetApiKeyInfo")
        for _ in range(3):
            assert "the exchange has refused this key" in told_of_key(made)
        # The gateway itself asks once more, a second after the refusal.
        assert len(made.arrivals("main", "GetApiKeyInfo")) <= len(before) + 1
    sandbox.control.clear_faults()


def told_of_key(made: MadeHome) -> str:
    """The error that is told of the account's key."""
    (found,) = [one["what"] for one in findings(made) if one["kind"] == "unproven"]
    return str(found)


def test_a_home_that_is_not_there(made: MadeHome, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The doctor gives one error, and what can be told without a home."""
    assert main(["--home", str(tmp_path / "nowhere"), "doctor"]) == 1
    page = capfd.readouterr().out
    assert "there is no such home\n    → make it with `signer init`" in page
    assert "Versions" in page


def _rewrite(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


def _open_audit(home: Home) -> None:
    home.audit.mkdir()
    home.audit.chmod(0o777)


def _drop_databases(home: Home) -> None:
    home.book.write_text("nonsense")
    home.marks.write_text("nonsense")


BROKEN: list[tuple[Callable[[Home], object], str]] = [
    (lambda home: home.keys.chmod(0o644), "✗ {home}/keys.json: its mode 0644 lets others access it"),
    (lambda home: home.config.chmod(0o666), "✗ {home}/signer.toml: others may write to it (mode 0666)"),
    (
        lambda home: (home.policies / "slow.toml").chmod(0o606),
        "✗ {home}/policies/slow.toml: others may write to it (mode 0606)",
    ),
    (lambda home: home.folder.chmod(0o755), "! {home}: others may look into it (mode 0755)"),
    (lambda home: home.pairs("kraken").write_text("{"), "✗ list of pairs: this is no list of pairs"),
    (
        lambda home: _rewrite(home.policies / "thrifty.toml", "sides", "side"),
        "✗ policy thrifty: side: there is no such key\n    → did you mean sides?",
    ),
    (
        lambda home: (home.policies / "tracker.toml").write_text(
            'version = 1\npermissions = []\nreview_by = "2020-01-31"\n'
        ),
        "! policy tracker: was to be reviewed by 2020-01-31",
    ),
    (
        _drop_databases,
        "! book.db: the checkpoint cannot be used: file is not a database\n"
        "    → the next start makes it anew from the log",
    ),
    (_drop_databases, "✗ marks.db: the file of marks cannot be used: file is not a database\n    → restore marks.db"),
    (_open_audit, "✗ {home}/audit: others may write to it (mode 0777)"),
    (
        lambda home: _rewrite(home.config, 'listen = "127.0.0.1:0"', 'listen = "tls://127.0.0.1:0"'),
        "✗ CA in {home}/tls: there is no such file\n    → make it with `signer tls init`",
    ),
]


def test_a_home_broken_in_eleven_ways(made: MadeHome) -> None:
    """Each is a line with its hint, none hides another, and what is whole is still told of."""
    for spoil, _ in BROKEN:
        spoil(made.home)
    status, page = doctor(made)
    assert status == 1
    for _, line in BROKEN:
        assert line.format(home=made.home.folder) in page
    lines = page.splitlines()
    for number, line in enumerate(lines):
        assert not line.startswith("  ✗") or lines[number + 1].startswith("    → "), line
    assert "✓ exchange" in page
    assert "✗ key store: its mode 0644" in page
    assert "defect" not in page


def test_settings_and_passphrase_that_are_both_wrong(made: MadeHome) -> None:
    """Neither error ends the look at the rest."""
    made.home.config.write_text("[gatway]\n")
    made.home.passphrase.write_text("another passphrase than it was")
    status, page = doctor(made)
    assert status == 1
    assert "✗ signer.toml: accounts: the key is missing; gatway: no such key" in page
    assert "✗ key store: the passphrase is not the one of this key store" in page
    assert "✓ policies: read" in page


def test_a_look_that_goes_wrong_hides_no_other(made: MadeHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect of ours is a finding that tells its kind and nothing of its text."""
    monkeypatch.setattr(disks, "room", lambda *_: 1 / 0)
    status, page = doctor(made)
    assert status == 1
    assert "✗ disk: cannot be looked at: a defect of signer (ZeroDivisionError)" in page
    assert "Versions" in page


def test_a_gateway_on_every_kind_of_listener(made: MadeHome, tmp_path: Path) -> None:
    """TCP, TLS and unix socket are each asked, and each answers."""
    made.here("tls", "init")
    (tmp_path / "run").mkdir(0o700)
    made.listen("127.0.0.1:0", "tls://127.0.0.1:0", f"unix:{tmp_path}/run/bots")
    with running(made) as gateway:
        told = findings(made)
        answers = [one for one in told if one["kind"] == "listener"]
        assert [one["about"] for one in answers] == [f"listener {url}" for url in gateway.ready["urls"]]
        assert {one["what"] for one in answers} == {"answers, and would take an order"}
        assert [one["weight"] for one in told if one["kind"] == "certificate"] == ["fine", "fine"]
