"""Threat: a secret is shown by something that went wrong. Secrets go through every failure, and are seen nowhere.

*Must hold* 2: no secret in a log, error, repr, traceback, metric, audit record or process list (`test_process.py` looks
into processes). What is searched for, in every spelling: the real and the virtual secret, the passphrase, both whole
API keys, and every API-Sign that the exchange received.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import os
import shutil
import subprocess
import traceback
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from signer.errors import HomeError
from signer.keys.passphrase import from_file
from signer.model import Request, Response
from signer.operator.reload import reload_running
from signer.sandbox import faults
from signer.sandbox.control_client import MadeKey
from signer.sandbox.server import RunningSandbox
from signer.serving.clock import SystemClock
from signer.serving.edge import Edge
from signer.serving.telemetry import GatewayWatch, LineLog, Metrics
from signer.serving.wiring import Wiring
from signer.venues import open_venue
from tests.harness.arriving import arriving
from tests.harness.bots import AHEAD_NS, LIMIT, Bot, Nonces
from tests.harness.loading import loaded_whole
from tests.harness.persons import Told
from tests.harness.rig import Rig
from tests.harness.stores import spellings
from tests.harness.wire import ask, http

UPSTREAM = [
    faults.Status(status=502),
    faults.NotJson(),
    faults.Truncated(acts=False),
    faults.CloseBeforeReading(),
    faults.CloseMidAnswer(acts=False),
    faults.Redirect(),
    faults.Errors(errors=("EAPI:Invalid key",)),
    faults.Errors(errors=("EAPI:Invalid nonce",)),
    faults.Errors(errors=("EGeneral:Internal error",)),
]


class Canary:
    """What must not be seen, and the search for it."""

    def __init__(self, rig: Rig, bot: Bot, real: MadeKey | RunningSandbox) -> None:
        self._rig = rig
        passphrase = rig.home.passphrase.read_bytes().strip()
        raw = {"real secret": _raw(real.api_secret), "virtual secret": _raw(bot.api_secret)}
        self.secrets = {name: _spelled(secret) for name, secret in raw.items()} | {"passphrase": spellings(passphrase)}
        keys = {"real API key": real.api_key, "virtual API key": bot.api_key}
        self.all = self.secrets | {name: [key.encode(), quote(key, "").encode()] for name, key in keys.items()}

    def seen(self, text: bytes) -> list[str]:
        """Names of what stands in ``text``, signatures that went upstream included."""
        signatures = [value for a in self._rig.arrivals() for name, value in a.headers if name.lower() == "api-sign"]
        hidden = self.all | {"API-Sign": [part for one in signatures for part in (one.encode(), _raw(one))]}
        return _found(hidden, text)


def _raw(text: str) -> bytes:
    return base64.b64decode(text)


def _spelled(raw: bytes) -> list[bytes]:
    return [*spellings(raw), quote(spellings(raw)[4], "").encode()]


def _found(hidden: Mapping[str, list[bytes]], text: bytes) -> list[str]:
    return [name for name, texts in hidden.items() if any(one in text for one in texts)]


@pytest.fixture(scope="module")
def bot(rig: Rig) -> Bot:
    """A client that may do little, so that it is refused much."""
    return rig.bot("narrow")


@pytest.fixture
def canary(rig: Rig, bot: Bot) -> Canary:
    """The search."""
    return Canary(rig, bot, rig.sandbox)


def everything(rig: Rig) -> Iterator[tuple[str, bytes]]:
    """All that a gateway writes where somebody could read it."""
    metrics = ask(rig.url, http("GET", "/-/metrics"))
    assert metrics is not None
    assert b"signer_calls_total" in metrics.body
    yield "metrics", metrics.body
    yield "log", rig.gateway.log().encode()
    for file in sorted(rig.home.folder.rglob("*")):
        if file.is_file() and file not in {rig.home.passphrase, rig.home.keys}:
            yield file.name, file.read_bytes()


def test_the_search_finds_what_it_looks_for(rig: Rig, bot: Bot, canary: Canary) -> None:
    """Each secret would be found where it is hidden: the tests below can fail."""
    assert rig.call(bot, "Balance") == []
    sign = next(value for name, value in rig.arrivals()[-1].headers if name.lower() == "api-sign")
    shown = [rig.sandbox.api_secret, bot.api_secret, rig.home.passphrase.read_text(), rig.sandbox.api_key, bot.api_key]
    assert [len(canary.seen(f"x{text}y".encode())) for text in [*shown, sign]] == [1] * 6
    assert canary.seen(_raw(rig.sandbox.api_secret).hex().encode()) == ["real secret"]
    assert canary.seen(quote(bot.api_secret, "").encode()) == ["virtual secret"]


def test_no_refusal_shows_a_secret(rig: Rig, bot: Bot, canary: Canary) -> None:
    """Secrets put where they do not belong: as another field, in the path, in a header, as key, as signature."""
    body, own = bot.signed("/0/private/Balance")
    virtual, real = bot.api_secret, rig.sandbox.api_secret
    sent = [
        *(bot.request("AddOrder", {**LIMIT, "volume": text}) for text in (virtual, real, "9")),
        *(bot.request("AddOrder", {**LIMIT, text: "1"}) for text in (virtual, real)),
        bot.request("AddOrder", {**LIMIT, "pair": real}),
        bot.request("Withdraw", {"asset": "XBT", "key": "out", "amount": "1"}),
        bot.request("Balance", {"otp": virtual, "API-Sign": real}),
        http("POST", "/0/private/Balance", body, f"API-Key: {virtual}", *own[1:]),
        http("POST", "/0/private/Balance", body, own[0], f"API-Sign: {virtual}", own[2]),
        http("POST", "/0/private/Balance", body[:-1], *own),
        http("POST", "/0/private/Balance", body, *own, f"API-Key: {real}"),
        http("POST", "/0/private/Balance?api_secret=x", body, *own),
        http("GET", "/0/public/Ticker?pair=" + quote(real, "")),
        http("GET", "/0/public/Ticker?" + quote(real, "") + "=1"),
    ]
    for data in sent:
        answer = ask(rig.url, data)
        assert answer is not None
        assert canary.seen(answer.head + answer.body) == []


@pytest.mark.parametrize("fault", UPSTREAM, ids=lambda fault: fault.kind)
@pytest.mark.parametrize("endpoint", ["Balance", "AddOrder"])
def test_no_fault_of_the_exchange_shows_a_secret(
    rig: Rig, bot: Bot, canary: Canary, endpoint: str, fault: faults.Fault
) -> None:
    """Whatever comes back, or does not, the answer to the client holds nothing of what we sent."""
    rig.sandbox.control.add_fault(fault.model_copy(update={"endpoint": endpoint}))
    answer = ask(rig.url, bot.request(endpoint, LIMIT if endpoint == "AddOrder" else None))
    rig.sandbox.control.clear_faults()
    assert answer is not None
    assert canary.seen(answer.head + answer.body) == []


def test_a_reload_that_fails_shows_no_secret(rig: Rig, bot: Bot, canary: Canary) -> None:
    """A secret pasted into a settings file or a policy is not quoted by what is said of it (hide_input_in_errors)."""
    with pasted_into(rig.home.config, rig.sandbox.api_secret) as texts:
        for _ in texts:
            with pytest.raises(HomeError) as caught:
                reload_running(rig.home, Told())
            assert canary.seen(_report(caught.value)) == []
    with pasted_into(rig.home.policies / "narrow.toml", rig.sandbox.api_secret) as texts:
        for _ in texts:
            told = Told()
            assert reload_running(rig.home, told)
            assert any("narrow" in text for text in told.warned)
            assert canary.seen("\n".join([*told.said, *told.noted, *told.warned]).encode()) == []
    assert reload_running(rig.home, Told())


@contextmanager
def pasted_into(file: Path, secret: str) -> Iterator[Iterator[None]]:
    """Puts ``secret`` into a TOML file, in one wrong place at each step; afterwards the file is as it was."""
    good = file.read_text()

    def steps() -> Iterator[None]:
        for bad in (f'api_secret = "{secret}"\n{good}', f"{good}\n= {secret}"):
            file.write_text(bad)
            yield

    try:
        yield steps()
    finally:
        file.write_text(good)


def test_a_log_that_cannot_be_written_shows_no_secret(rig: Rig, bot: Bot, canary: Canary) -> None:
    """Orders are refused, the alarm says why, and neither says more."""
    aside = rig.home.audit.rename(rig.home.audit.with_name("audit-aside"))
    answer = ask(rig.url, bot.request("AddOrder", LIMIT))
    shutil.rmtree(rig.home.audit, ignore_errors=True)
    aside.rename(rig.home.audit)
    assert answer is not None
    assert canary.seen(answer.head + answer.body) == []


def test_nothing_that_a_gateway_writes_holds_a_secret(rig: Rig, bot: Bot, canary: Canary) -> None:
    """Metrics, log, checkpoint, marks, audit segments, pairs, lock and state hold no secret after all of the above."""
    for fields in ({}, {"volume": "9"}):
        rig.call(bot, "AddOrder", {**LIMIT, **fields})
    rig.restart()
    written = dict(everything(rig))
    assert {
        "metrics",
        "log",
        "book.db",
        "marks.db",
        "pairs-kraken.json",
        "gateway.json",
        "gateway.lock",
    } < written.keys()
    assert [name for name in written if name.endswith(".jsonl")]
    assert {name: canary.seen(text) for name, text in written.items() if canary.seen(text)} == {}
    assert b"Traceback" not in written["log"]


ADD = ("keys", "add", "k", "--account", "main", "--stdin")
IMPORT = ("clients", "add", "c", "--account", "main", "--import-stdin", "--policy")
PASTED = '{"api_key": "KEY", "api_secret": "SECRET"}'
COMMANDS: dict[str, tuple[tuple[str, ...], str]] = {
    "cut short": (ADD, PASTED[:-1]),
    "two secrets": (ADD, PASTED.replace("KEY", "SECRET")),
    "swapped": (ADD, '{"api_key": "SECRET", "api_secret": "KEY"}'),
    "too long": (ADD, PASTED.replace("SECRET", "SECRETAAAA")),
    "key taken": (ADD, PASTED),
    "name taken": (("keys", "add", "real-key", *ADD[3:]), PASTED.replace("KEY", "KKEY")),
    "not a text": (ADD, PASTED.replace('"SECRET"', '["SECRET"]')),
    "no policy": ((*IMPORT, "none"), PASTED),
    "no JSON": ((*IMPORT, "wide"), "SECRET"),
}


@pytest.mark.parametrize(("arguments", "stdin"), COMMANDS.values(), ids=COMMANDS)
def test_no_command_shows_a_secret(rig: Rig, canary: Canary, arguments: tuple[str, ...], stdin: str) -> None:
    """A command that fails on a secret given on stdin says so without it, in its process's own table entries too."""
    pipe = subprocess.PIPE
    with subprocess.Popen(rig.made.command(*arguments), stdin=pipe, stdout=pipe, stderr=pipe) as child:
        shown = Path(f"/proc/{child.pid}/cmdline").read_bytes()
        given = stdin.replace("KEY", rig.sandbox.api_key).replace("SECRET", rig.sandbox.api_secret)
        out, err = child.communicate(given.encode())
    assert child.returncode in {2, 3, 4}
    assert b"Traceback" not in err
    assert canary.seen(shown + out + err) == []


def test_a_wrong_passphrase_is_not_repeated(rig: Rig, tmp_path: Path) -> None:
    """What was typed in its place may be the passphrase of something else."""
    wrong = tmp_path / "wrong"
    wrong.write_text("correct horse battery staple")
    wrong.chmod(0o600)
    command = rig.made.command("keys", "list", "--passphrase-file", str(wrong))
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 4
    assert b"horse" not in done.stdout + done.stderr


async def test_a_defect_deep_inside_shows_no_secret(rig: Rig, bot: Bot, canary: Canary) -> None:
    """An exception that nobody thought of, full of secrets in message, arguments, notes, cause and locals."""
    reading, writing = os.pipe()
    lines, clock = LineLog(writing), SystemClock()
    watch = GatewayWatch(Metrics(), lines, clock)
    secret = f"{rig.sandbox.api_secret} {bot.api_secret} {rig.sandbox.api_key}"

    async def defect(request: Request) -> Response:
        error = RuntimeError(secret, request)
        error.add_note(secret)
        raise error from ValueError(secret)

    def alarm(text: str) -> None:
        watch.alarm("defect", text)

    edge = Edge(open_venue("kraken"), defect, defect, lambda _: None, clock=clock, body_seconds=1, on_defect=alarm)
    sent: list[object] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": secret.encode(), "more_body": False}

    async def send(*answer: object) -> None:
        sent.append(answer)

    scope = {"type": "http", "method": "POST", "raw_path": b"/0/private/Balance", "query_string": b"", "client": None}
    await edge({**scope, "headers": [(b"api-key", bot.api_key.encode())]}, receive, send)
    lines.flush()
    os.close(writing)
    log = os.read(reading, 65536)
    os.close(reading)
    assert b"RuntimeError at defect" in log
    assert canary.seen(log + repr(sent).encode()) == []


async def test_no_object_of_a_gateway_holds_or_shows_a_secret(rig: Rig, bot: Bot, tmp_path: Path) -> None:
    """Python's memory of a gateway holds no secret's bytes, and no object of ours prints one, or a whole API key."""
    own, made = rig.copied(tmp_path)
    home = own.home
    clock, canary = SystemClock(), Canary(rig, bot, made)
    passphrase = from_file(home.passphrase)
    loaded = loaded_whole(home, passphrase)
    passphrase.wipe()
    wiring = Wiring(loaded, GatewayWatch(Metrics(), LineLog(os.open(os.devnull, os.O_WRONLY)), clock), lambda: None)
    await wiring.start()
    path = "/0/private/Balance"
    nonce = str(int(Nonces.fresh()) + AHEAD_NS)
    body, _ = bot.signed(path, nonce=nonce)
    good = arriving("POST", path, b"", "", bot.api_key, bot.sign(path, nonce, body), body, "127.0.0.1")
    bad = arriving("POST", path, b"", "", bot.api_key, "AAAA", body, "127.0.0.1")
    before = len(rig.arrivals())
    answers = [await wiring.gateway.answer(request) for request in (good, bad)]
    assert json.loads(answers[1].body)["error"] == ["EAPI:Invalid signature"]
    assert len(rig.arrivals()) == before + 1, "the first was signed and sent"
    reached = reachable([wiring, loaded])
    texts = [bytes(one) if not isinstance(one, str) else one.encode("utf-8", "surrogatepass") for one in reached
             if isinstance(one, (str, bytes, bytearray))]  # fmt: skip
    assert any(bot.name.encode() == text for text in texts), "the walk does not even reach the clients"
    assert [name for text in texts for name in _found(canary.secrets, text)] == []
    shown = {type(one).__name__: repr(one) for one in reached if type(one).__module__.startswith("signer.")}
    assert {"FileKeyStore", "HmacKey", "StoreKeys", "Snapshot", "Client", "Account", "Credential"} <= shown.keys()
    assert {name: canary.seen(text.encode()) for name, text in shown.items() if canary.seen(text.encode())} == {}
    for request in (good, bad):
        assert canary.seen(repr(request).encode()) == []
    await wiring.stop()


def reachable(roots: list[object]) -> list[object]:
    """Every object that can be reached from ``roots``, but for code, classes, modules and the event loop."""
    seen: dict[int, object] = {}
    left = list(roots)
    closed = (types.ModuleType, type, types.CodeType, types.FrameType, asyncio.AbstractEventLoop)
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, closed):
            continue
        seen[id(one)] = one
        if isinstance(one, types.FunctionType):
            left += [cell.cell_contents for cell in one.__closure__ or ()]
        else:
            left += gc.get_referents(one)
    return list(seen.values())


def _report(error: BaseException) -> bytes:
    return ("".join(traceback.format_exception(error)) + repr(vars(error)) + repr(error.args)).encode()
