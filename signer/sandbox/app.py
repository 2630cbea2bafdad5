"""The Flask app for bots: reads requests and answers them properly, or as a fault demands."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator

from flask import Flask, Request, Response, request

from signer.sandbox.arrivals import Arrival
from signer.sandbox.conditions import conditions
from signer.sandbox.engine_faults import EngineFault
from signer.sandbox.faults import (
    CloseAfterActing,
    CloseBeforeReading,
    CloseMidAnswer,
    Errors,
    Hang,
    LateAnswer,
    Latency,
    Met,
    NotJson,
    Oversized,
    Redirect,
    Status,
    Truncated,
    WireFault,
)
from signer.sandbox.simulation import JSON, Answer, Incoming, Simulation, endpoint_of, refusal

LARGEST_BODY = 2**20
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
CHUNK = 2**16


def create_app(simulation: Simulation) -> Flask:
    """Make the app for the bots' listener. It does not serve the control interface."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    app.url_map.merge_slashes = False  # a path that is not exact is unknown, not redirected

    def serve(path: str) -> Response:  # noqa: ARG001 - the raw target is what counts
        return _serve(simulation, request)

    for rule, defaults in (("/", {"path": ""}), ("/<path:path>", {})):
        app.add_url_rule(rule, rule, serve, False, methods=METHODS, defaults=defaults)
    return app


def _serve(simulation: Simulation, incoming: Request) -> Response:
    target = _target(incoming)
    endpoint = endpoint_of(target.partition("?")[0])
    # The fault is taken first: clearing the faults must release every request that is listed as arrived.
    met = simulation.faults.take(endpoint)
    arrival = simulation.arrivals.begin(
        time=simulation.clock.now(),
        method=incoming.method,
        path=target,
        endpoint=endpoint,
        headers=list(incoming.headers.items()),
        source=incoming.remote_addr or "",
        fault=met.kinds if met else None,
    )
    try:
        return _meet(simulation, incoming, arrival, met)
    finally:
        simulation.arrivals.done(arrival)


def _meet(simulation: Simulation, incoming: Request, arrival: Arrival, met: Met | None) -> Response:
    fault = met.fault if met else None
    if isinstance(fault, CloseBeforeReading):
        return _cut(b"")
    arrival.body = incoming.get_data(cache=False)
    if met and isinstance(fault, Latency):
        met.wait(fault.seconds)
    engine = met.engine if met else ()
    answer = _proper(simulation, incoming, arrival, engine) if fault is None or fault.acts else Answer(b"")
    arrival.key, arrival.acted = answer.key, answer.acted
    _note(arrival, answer)
    if met and isinstance(fault, Hang | LateAnswer):
        met.wait(fault.seconds if isinstance(fault, LateAnswer) else None)
    return _spoilt(answer, fault, arrival)


def _proper(simulation: Simulation, incoming: Request, arrival: Arrival, engine: tuple[EngineFault, ...]) -> Answer:
    return simulation.answer(
        Incoming(
            method=incoming.method,
            target=arrival.path,
            content_type=incoming.headers.get("Content-Type", ""),
            api_key=incoming.headers.get("API-Key", ""),
            api_sign=incoming.headers.get("API-Sign", ""),
            body=arrival.body,
            source=arrival.source,
        ),
        conditions(engine),
    )


def _spoilt(answer: Answer, fault: WireFault | None, arrival: Arrival) -> Response:
    match fault:
        case None | Latency() | LateAnswer():
            response = _sent(answer, arrival)
        case Hang() | CloseBeforeReading() | CloseAfterActing():
            response = _cut(b"")
        case CloseMidAnswer():
            body = _whole(answer)
            response = _cut(body[: len(body) // 2], promised=len(body))
        case Truncated():
            body = _whole(answer)
            response = _sent(Answer(body[: len(body) // 2]), arrival)
        case Oversized():
            arrival.status = 200
            response = Response(_padding(fault.size), content_type=JSON)
        case NotJson():
            response = _sent(_page("Just a moment..."), arrival)
        case Status():
            response = _sent(_page(f"error code: {fault.status}", fault.status), arrival)
        case Redirect():
            response = _sent(_page("Moved", fault.status), arrival)
            response.headers["Location"] = fault.location
        case Errors():
            response = _sent(refusal(*fault.errors), arrival)
    return response


def _whole(answer: Answer) -> bytes:
    return answer.body or refusal("EService:Unavailable").body


def _sent(answer: Answer, arrival: Arrival) -> Response:
    _note(arrival, answer)
    arrival.status = answer.status
    return Response(answer.body, answer.status, content_type=answer.content_type)


def _note(arrival: Arrival, answer: Answer) -> None:
    arrival.errors = list(answer.errors)
    arrival.answer = answer.body.decode("utf-8", "replace")


def _cut(sent: bytes, promised: int | None = None) -> Response:
    """Make an answer of which only ``sent`` leaves before the connection closes; if it is empty, not even a head."""
    headers = {} if promised is None else {"Content-Length": str(promised)}
    # gunicorn's; a test client has none.
    connection: socket.socket | None = request.environ.get("gunicorn.socket")
    return Response(_breaking_off(sent, connection), content_type=JSON, headers=headers)


def _breaking_off(sent: bytes, connection: socket.socket | None) -> Iterator[bytes]:
    """Yield ``sent``, then break the connection: gunicorn takes a broken pipe as a client that is gone.

    The socket is shut down here, because gunicorn's main thread would wait two seconds for the caller to close first.
    """
    if sent:
        yield sent
    if connection is not None:
        with contextlib.suppress(OSError):  # the caller was faster
            connection.shutdown(socket.SHUT_RDWR)
    raise BrokenPipeError(errno.EPIPE, "a fault closes the connection")


def _padding(size: int) -> Iterator[bytes]:
    head, tail = b'{"error":[],"result":{"padding":"', b'"}}'
    yield head
    left = max(0, size - len(head) - len(tail))
    while left:
        chunk = min(left, CHUNK)
        yield b"x" * chunk
        left -= chunk
    yield tail


def _page(title: str, status: int = 200) -> Answer:
    page = f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{title}</body></html>\n"
    return Answer(page.encode(), "text/html; charset=UTF-8", status)


def _target(incoming: Request) -> str:
    """Answer the target as in the request line, undecoded: this is what was signed."""
    return str(incoming.environ["RAW_URI"])
