"""Faults: which request meets which, whether the engine acts, and what the caller sees."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from signer.sandbox.arrivals import Arrival
from signer.sandbox.faults import (
    FAULT,
    CloseAfterActing,
    CloseBeforeReading,
    CloseMidAnswer,
    Errors,
    Fault,
    Faults,
    Hang,
    Latency,
    NotJson,
    Oversized,
    Redirect,
    Status,
    Truncated,
)
from tests.unit.sandbox.edge import Edge, errors


@pytest.fixture
def edge() -> Edge:
    """A sandbox without sockets, on a toy engine."""
    return Edge()


def _last(edge: Edge) -> Arrival:
    return edge.simulation.arrivals.listed()[-1]


def test_a_fault_meets_its_endpoint_after_skip_and_for_count() -> None:
    """`skip` matching requests pass, then `count` meet it, then all pass again."""
    faults = Faults()
    faults.add(Hang(endpoint="AddOrder", skip=1, count=2))
    met = [faults.take(endpoint) is not None for endpoint in ("AddOrder", "Time", "AddOrder", "AddOrder", "AddOrder")]
    assert met == [False, False, True, True, False]
    assert faults.listed()[0]["met"] == 2


def test_a_seed_decides_which_requests_meet_a_fault() -> None:
    """With a chance some requests meet it, the same ones for one seed, and no more than its count."""

    def met(seed: int, count: int = 1000) -> list[bool]:
        faults = Faults()
        faults.add(Hang(chance=0.25, seed=seed, count=count))
        return [faults.take("Time") is not None for _ in range(200)]

    assert met(1) == met(1) != met(2)
    assert 25 < sum(met(1)) < 75
    assert sum(met(1, count=7)) == 7


def test_of_two_due_faults_the_older_goes_first() -> None:
    """Faults queue up; the star stands for every endpoint."""
    faults = Faults()
    faults.add(Status(status=502))
    faults.add(Status(status=503))
    met = [faults.take("Time") for _ in range(3)]
    assert [one.fault if one else None for one in met] == [Status(status=502), Status(status=503), None]


@pytest.mark.parametrize(
    ("fault", "acts"),
    [
        (CloseBeforeReading(), False),
        (CloseAfterActing(), True),
        (CloseMidAnswer(), True),
        (CloseMidAnswer(acts=False), False),
    ],
)
def test_closed_connections(edge: Edge, fault: Fault, acts: bool) -> None:
    """The answer breaks off, and the engine has acted or not as the fault says."""
    edge.simulation.faults.add(fault)
    with pytest.raises(BrokenPipeError):
        edge.call("AddOrder").get_data()
    assert bool(edge.engine.called) is acts
    assert (_last(edge).fault, _last(edge).acted, _last(edge).status) == (fault.kind, acts, None)
    assert errors(edge.call("AddOrder")) == []


@pytest.mark.parametrize("status", [403, 429, 500, 502, 503, 504, 520])
@pytest.mark.parametrize("acts", [False, True])
def test_error_pages(edge: Edge, status: int, acts: bool) -> None:
    """An HTTP error page comes with or without the engine having acted."""
    edge.simulation.faults.add(FAULT.validate_python({"kind": "status", "status": status, "acts": acts}))
    answer = edge.call("AddOrder")
    assert (answer.status_code, answer.mimetype) == (status, "text/html")
    assert bool(edge.engine.called) is _last(edge).acted is acts


def test_truncated_json(edge: Edge) -> None:
    """The HTTP answer is whole, its JSON is not."""
    edge.simulation.faults.add(Truncated())
    answer = edge.call("Balance")
    assert answer.mimetype == "application/json"
    assert answer.data
    assert not answer.data.endswith(b"}")
    assert len(answer.data) == answer.content_length


def test_oversized_answers(edge: Edge) -> None:
    """The answer is valid JSON of the size asked for."""
    edge.simulation.faults.add(Oversized(size=300_000))
    answer = edge.call("Balance")
    assert len(answer.data) == 300_000
    assert answer.get_json()["error"] == []


def test_pages_and_redirects(edge: Edge) -> None:
    """HTML with status 200, and a redirect that names another place."""
    edge.simulation.faults.add(NotJson())
    edge.simulation.faults.add(Redirect(location="http://127.0.0.1:9/elsewhere"))
    page = edge.call("Balance")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    moved = edge.call("Balance")
    assert (moved.status_code, moved.headers["Location"]) == (307, "http://127.0.0.1:9/elsewhere")
    assert edge.engine.called == []


@pytest.mark.parametrize("acts", [False, True])
def test_error_arrays(edge: Edge, acts: bool) -> None:
    """Any error array, for public calls too; the nonce is used up only if the exchange acted."""
    edge.simulation.faults.add(Errors(endpoint="AddOrder", errors=("EService:Busy",), acts=acts))
    edge.simulation.faults.add(Errors(endpoint="Time", errors=("EService:Unavailable", "EGeneral:x")))
    assert errors(edge.call("AddOrder", nonce=77)) == ["EService:Busy"]
    assert errors(edge.bots.get("/0/public/Time")) == ["EService:Unavailable", "EGeneral:x"]
    assert edge.key.nonces.highest == (77 if acts else 0)
    assert _last(edge).errors == ["EService:Unavailable", "EGeneral:x"]


def test_a_fault_that_acts_authenticates_first(edge: Edge) -> None:
    """What the exchange would have refused is not carried out by a fault either."""
    edge.simulation.faults.add(CloseAfterActing())
    with pytest.raises(BrokenPipeError):
        edge.bots.post("/0/private/AddOrder", data=b"nonce=1")
    assert edge.engine.called == []
    assert (_last(edge).acted, _last(edge).errors) == (False, ["EAPI:Invalid key"])


def _held(edge: Edge, call: Callable[[], object]) -> threading.Thread:
    """Start a call that a fault holds; returns once it has arrived."""
    thread = threading.Thread(target=call)
    thread.start()
    assert edge.simulation.arrivals.wait_for(after=0, endpoint="AddOrder", answered=False, seconds=10)
    return thread


@pytest.mark.parametrize("acts", [False, True])
def test_a_hang_holds_its_own_request_only(edge: Edge, acts: bool) -> None:
    """While one request hangs others are served; clearing the faults closes the held connection."""
    edge.simulation.faults.add(Hang(endpoint="AddOrder", acts=acts))
    outcome: list[type[BaseException]] = []

    def call() -> None:
        try:
            edge.call("AddOrder")
        except BrokenPipeError:
            outcome.append(BrokenPipeError)

    thread = _held(edge, call)
    assert edge.bots.get("/0/public/Time").status_code == 200
    assert outcome == []
    edge.simulation.faults.clear()
    thread.join(10)
    assert outcome == [BrokenPipeError]
    assert _last(edge).endpoint == "Time"
    assert edge.simulation.arrivals.listed()[0].acted is acts


def test_latency_holds_the_request_before_the_engine(edge: Edge) -> None:
    """A late request is carried out once its time is over, or the faults are cleared."""
    edge.simulation.faults.add(Latency(endpoint="AddOrder", seconds=3600))
    answers: list[list[str]] = []
    thread = _held(edge, lambda: answers.append(errors(edge.call("AddOrder"))))
    assert edge.bots.get("/0/public/Time").status_code == 200
    assert [method for _, method, _ in edge.engine.called] == ["Time"]
    edge.simulation.faults.clear()
    thread.join(10)
    assert answers == [[]]
    assert [method for _, method, _ in edge.engine.called] == ["Time", "AddOrder"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "nonsense"},
        {"kind": "latency"},
        {"kind": "latency", "seconds": 0},
        {"kind": "hang", "secs": 1},
        {"kind": "hang", "count": 0},
        {"kind": "hang", "skip": -1},
        {"kind": "hang", "chance": 0},
        {"kind": "hang", "chance": 1.5},
        {"kind": "status", "status": 418},
        {"kind": "errors", "errors": []},
        {"kind": "close-before-reading", "acts": True},
        {},
    ],
)
def test_wrong_faults_are_refused(wrong: dict[str, object]) -> None:
    """Unknown kinds and fields, and values out of range, are no faults."""
    with pytest.raises(ValidationError):
        FAULT.validate_python(wrong)
