"""Says whether an order would pass now, by the running gateway or else by the home alone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from signer.errors import AuditError, LedgerError, SignerError
from signer.home.layout import Home
from signer.home.lock import holder
from signer.keys.envelope import AboutClient
from signer.keys.renewal import read_envelope
from signer.model.halts import halt_for, unreadable
from signer.operator.braking import revoked_in
from signer.operator.halts import halts_in
from signer.operator.reading_book import read_book
from signer.serving.admin import BRAKE_S, ask_within
from signer.serving.loaded import policies_of, venues_of
from signer.serving.readiness import ALONE, InForce, Obstacle, Readiness, halted_pairs, judged, of_gaps, read_answer

NO_GATEWAY = Obstacle(
    ALONE, "no gateway runs on this home: this is judged from the home alone, without keys, stores and exchange"
)


def readiness_of(home: Home, client: str = "") -> Readiness:
    """Ask the gateway on ``home`` whether orders pass, of all clients or of one. Raises nothing."""
    running = holder(home.lock)
    if running is None:
        return _alone(home, (), NO_GATEWAY)
    if not running.serves:
        return _alone(home, [Obstacle("gateway", f"the gateway (process {running.pid}) is starting")])
    try:
        answer = read_answer(ask_within(BRAKE_S, home.admin, "readiness", client=client))
    except (SignerError, KeyError, TypeError) as error:
        return _alone(home, [Obstacle("gateway", f"the gateway (process {running.pid}) does not answer: {error}")])
    if client and client not in answer.clients:
        unknown = Obstacle("unknown", f"the gateway does not know client {client}", "run `signer reload`")
        return replace(answer, clients={client: [unknown]})
    return answer


def calls_counted(home: Home, client: str) -> Mapping[tuple[str, int], int] | None:
    """Ask the gateway how many calls of a client its ``max_calls`` count now, keyed by kind and window in seconds.

    None if no gateway answers: the counts are kept in its memory alone.
    """
    running = holder(home.lock)
    if running is None or not running.serves:
        return None
    try:
        rows = ask_within(BRAKE_S, home.admin, "calls", client=client)
        return {(row["kind"], row["window_s"]): row["calls"] for row in rows}
    except (SignerError, KeyError, TypeError):
        return None


def _alone(home: Home, everybody: Sequence[Obstacle], *notes: Obstacle) -> Readiness:
    stopped = list(everybody)
    try:
        with read_book(home) as book:
            halts = halts_in(home, book)
            over = revoked_in(home, book)
            stopped += of_gaps(book.gaps())
    except (AuditError, LedgerError) as error:
        halts, over = unreadable(time.time_ns() // 1000), {}
        stopped.append(Obstacle("book", str(error)))
    clients = list(_clients(home, over, stopped))
    of_pairs = halted_pairs(halts.values())
    return judged(clients, lambda client, account: halt_for(halts, client, account), {}, stopped, [*notes, *of_pairs])


def _clients(home: Home, over: Mapping[str, int], stopped: list[Obstacle]) -> Iterator[InForce]:
    """Judge by the key store's own list, which needs no passphrase; ``over`` says when which client was revoked."""
    try:
        entries = read_envelope(home.keys).entries
        policies = policies_of(home, venues_of(home)).policies
    except SignerError as error:
        stopped.append(Obstacle("home", str(error)))
        return
    for about in (entry.about for entry in entries):
        if isinstance(about, AboutClient):
            yield InForce(
                about.name,
                about.account,
                revoked=about.revoked or about.created_us <= over.get(about.name, -1),
                expired=about.expires_us is not None and about.expires_us <= time.time_ns() // 1000,
                unloaded="" if about.policy in policies else f"policy {about.policy} does not load",
            )
