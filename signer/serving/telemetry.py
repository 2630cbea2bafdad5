"""Shows a running gateway to its operator: metrics, one log line for each call, and alarms."""

from __future__ import annotations

import asyncio
import json
import os
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import accumulate
from operator import add
from typing import Generic, TypeVar, final

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric, generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from signer.contracts import Clock
from signer.gateway.source_rate import SourceRate
from signer.gateway.trace import Trace

MOST_SERIES = 1024
"""Most combinations of labels of one metric, so that a flood of new names does not fill the memory."""
OTHER = "other"
"""The value of each label beyond that bound."""
SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

Wrapper = TypeVar("Wrapper", bound=MetricWrapperBase)


class _Series(Generic[Wrapper]):
    """The series of one metric, each looked up once, because the library's own look-up takes a lock every time."""

    def __init__(self, metric: Wrapper) -> None:
        self._metric = metric
        self._known: dict[tuple[str, ...], Wrapper] = {}

    def __getitem__(self, labels: tuple[str, ...]) -> Wrapper:
        known = self._known.get(labels)
        return known if known is not None else self._add(labels)

    def clear(self) -> None:
        """Forget every series."""
        self._known.clear()
        self._metric.clear()

    def _add(self, labels: tuple[str, ...]) -> Wrapper:
        if len(self._known) >= MOST_SERIES:
            labels = (OTHER,) * len(labels)
        return self._known.setdefault(labels, self._metric.labels(*labels))


@final
class _CallTimes(Collector):
    """The private calls and how long each took, in plain numbers: the library's own take a lock for each of them.

    Call it on the event loop only.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], list[int]] = {}
        """How many calls fell between two of `SECONDS`, keyed by client, endpoint and outcome."""
        self._sums: dict[str, float] = {}
        """The seconds of all calls of an endpoint."""

    def add(self, client: str, endpoint: str, outcome: str, seconds: float) -> None:
        """Count a call and its time."""
        counts = self._known.get((client, endpoint, outcome))
        if counts is None:
            if len(self._known) >= MOST_SERIES:
                client = endpoint = outcome = OTHER
            counts = self._known.setdefault((client, endpoint, outcome), [0] * (len(SECONDS) + 1))
        counts[bisect_left(SECONDS, seconds)] += 1
        self._sums[endpoint] = self._sums.get(endpoint, 0.0) + seconds

    @override
    def collect(self) -> Iterable[Metric]:
        labels = ("client", "endpoint", "outcome")
        calls = CounterMetricFamily("signer_calls", "Private calls answered.", labels=labels)
        took = HistogramMetricFamily("signer_call_seconds", "From a call's arrival to our answer.", labels=labels[1:2])
        of_endpoint = {endpoint: [0] * (len(SECONDS) + 1) for endpoint in self._sums}
        for known, counts in self._known.items():
            calls.add_metric(known, sum(counts))
            of_endpoint[known[1]] = [*map(add, of_endpoint[known[1]], counts)]
        for endpoint, counts in of_endpoint.items():
            buckets = [*zip(map(str, (*SECONDS, "+Inf")), accumulate(counts), strict=True)]
            took.add_metric((endpoint,), buckets, self._sums[endpoint])
        return calls, took


@final
class Metrics:
    """The metrics of one gateway process, in a registry of their own."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> _Series[Counter]:
            return _Series(Counter(name, text, labels, registry=registry))

        self._calls = _CallTimes()
        registry.register(self._calls)
        self._denied = counter("signer_denied", "Calls denied, by the first rule.", "client", "rule")
        dropped = ("signer_parameters_dropped", "Parameters of calls that were not sent on.", "client", "endpoint")
        self._dropped = counter(*dropped)
        self._logins = counter("signer_logins_failed", "Calls that were not authentic.", "reason")
        self._bounds = counter("signer_bounds_hit", "What was refused, closed or only counted at a bound.", "bound")
        self._alarms = counter("signer_alarms", "What needs an operator's eye.", "kind")
        waiting = ("signer_lane_waiting", "Calls that wait for their turn.", ("credential",))
        self._waiting = _Series(Gauge(*waiting, registry=registry))
        paused = ("signer_lane_paused", "Whether a key that was refused is being asked about.", ("credential",))
        self._paused = _Series(Gauge(*paused, registry=registry))
        stopped = ("signer_lane_stopped", "Whether no call goes by a key that the exchange refuses.", ("credential",))
        self._stopped = _Series(Gauge(*stopped, registry=registry))
        quiet = ("signer_quiet_seconds", "How long the exchange wants quiet.", ("account", "credential"))
        self._quiet = _Series(Gauge(*quiet, registry=registry))
        proven = ("signer_credential_proven", "Whether calls that change something may go by it.", ("credential",))
        self._proven = _Series(Gauge(*proven, registry=registry))
        finding = ("signer_credential_finding", "What is to be fixed about a real key.", ("credential", "kind"))
        self._finding = _Series(Gauge(*finding, registry=registry))
        expires = ("signer_credential_expires_timestamp_seconds", "When a real key ends at the venue.", ("credential",))
        self._expires = _Series(Gauge(*expires, registry=registry))
        unlisted = ("signer_policy_unlisted_pairs", "Pairs that a policy names in vain.", ("policy",))
        self._unlisted = _Series(Gauge(*unlisted, registry=registry))
        broken = ("signer_policy_broken_clients", "Clients of a policy that does not load.", ("policy",))
        self._broken = _Series(Gauge(*broken, registry=registry))
        halts = ("signer_halts", "Halts in force, by what they are of and what still passes.", ("scope", "state"))
        self._halts = _Series(Gauge(*halts, registry=registry))
        self._unknown = Gauge("signer_unknown_outcomes", "Calls sent whose outcome is unknown.", registry=registry)
        self._healthy = Gauge("signer_audit_healthy", "Whether the audit log can be written.", registry=registry)
        gaps = ("signer_book_gaps", "Parts of the log that the book lacks: orders wait for an operator.")
        self._gaps = Gauge(*gaps, registry=registry)

    def call_finished(self, client: str, endpoint: str, outcome: str, seconds: float) -> None:
        """Count a call and its time. ``client`` is empty for a caller that did not prove its identity."""
        self._calls.add(client, endpoint, outcome, seconds)

    def denied(self, client: str, rule: str) -> None:
        """Count a denial."""
        self._denied[client, rule].inc()

    def parameters_dropped(self, client: str, endpoint: str, count: int) -> None:
        """Count parameters that a call lost on its way; ``client`` is empty for a public call."""
        self._dropped[client, endpoint].inc(count)

    def login_failed(self, reason: str) -> None:
        """Count a call that was not authentic."""
        self._logins[(reason,)].inc()

    def bound_hit(self, bound: str) -> None:
        """Count what a bound has kept out."""
        self._bounds[(bound,)].inc()

    def alarm(self, kind: str) -> None:
        """Count an alarm."""
        self._alarms[(kind,)].inc()

    def lane(self, credential: str, *, waiting: int, paused: bool, stopped: bool) -> None:
        """Note how many calls wait in the lane of a credential, and whether it takes none."""
        self._waiting[(credential,)].set(waiting)
        self._paused[(credential,)].set(paused)
        self._stopped[(credential,)].set(stopped)

    def quiet_left(self, account: str, credential: str, seconds: float) -> None:
        """Note how long the venue still wants quiet, from a key or (``credential`` empty) from all keys."""
        self._quiet[account, credential].set(seconds)

    def forget_credentials(self) -> None:
        """Drop the series of keys that are gone."""
        for family in (self._proven, self._finding, self._expires, self._quiet):
            family.clear()

    def credential(self, name: str, *, proven: bool, found: Mapping[str, bool], expires_us: int | None) -> None:
        """Note the state of a real key. ``found`` has every kind of finding, and whether the key has it now."""
        self._proven[(name,)].set(proven)
        for kind, now in found.items():
            self._finding[name, kind].set(now)
        if expires_us is not None:
            self._expires[(name,)].set(expires_us / 1_000_000)

    def policies_broken(self, clients: Mapping[str, int]) -> None:
        """Note which policies do not load, each with how many clients have it."""
        self._broken.clear()
        for policy, count in clients.items():
            self._broken[(policy,)].set(count)

    def halts_in_force(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Note how many halts there are, by kind of scope and state."""
        self._halts.clear()
        for labels, count in counts.items():
            self._halts[labels].set(count)

    def unknown_outcomes(self, count: int) -> None:
        """Note the number of calls with an unknown outcome."""
        self._unknown.set(count)

    def unlisted_pairs(self, counts: Mapping[str, int]) -> None:
        """Note how many pairs each policy names that the venue does not list."""
        self._unlisted.clear()
        for policy, count in counts.items():
            self._unlisted[(policy,)].set(count)

    def audit_healthy(self, healthy: bool) -> None:
        """Note whether the audit log can be written."""
        self._healthy.set(healthy)

    def book_gaps(self, count: int) -> None:
        """Note how many parts of the log the book lacks."""
        self._gaps.set(count)

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format 0.0.4."""
        return generate_latest(self._registry)


EVERY_S = 0.1
MOST_WAITING = 65_536
_BARE = re.compile(r"[A-Za-z0-9._:/@+-]+")


class LineLog:
    """Collects lines and writes them together, so that a line costs a request no system call."""

    def __init__(self, descriptor: int = 2) -> None:
        self._descriptor = descriptor
        self._lines: list[str] = []
        self._timer: asyncio.TimerHandle | None = None

    def line(self, **fields: str | int) -> None:
        """Write the fields as ``name=value`` pairs, soon."""
        self.add(_pairs(fields))

    def add(self, text: str) -> None:
        """Write a line of ``name=value`` pairs, soon. Beyond a bound lines are dropped rather than kept."""
        if len(self._lines) < MOST_WAITING:
            self._lines.append(text)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self.flush)

    def flush(self) -> None:
        """Write the collected lines."""
        self._timer = None
        lines, self._lines = self._lines, []
        if lines:
            data = "\n".join([*lines, ""]).encode()
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:
                return  # a log that nobody reads must not stop an exchange of money; the audit log is another file


def _pairs(fields: Mapping[str, str | int]) -> str:
    return " ".join([f"{name}={value if isinstance(value, int) else _quoted(value)}" for name, value in fields.items()])


def _quoted(value: str) -> str:
    """Quote a value unless it is plain, so that none can forge a field or a line."""
    return value if _BARE.fullmatch(value) else json.dumps(value)


_quoted_again = lru_cache(MOST_SERIES)(_quoted)
"""For values that come with every call of a client: its name, its source and the endpoint."""


BOUND_LINE_S = 60


class GatewayWatch:
    """`signer.gateway.trace.Watch` over metrics and the line log."""

    def __init__(self, metrics: Metrics, lines: LineLog, clock: Clock) -> None:
        self._metrics = metrics
        self._lines = lines
        self._clock = clock
        self._bounds = SourceRate[str](1 / BOUND_LINE_S, 1, clock)

    def finished(self, trace: Trace) -> None:
        """Count a request and write its line. A request that is only counted has no line."""
        took_us = max(0, self._clock.now_us() - trace.started_us)
        client, outcome = trace.client_name, trace.outcome.value if trace.outcome else "refused"
        if not client:
            self._metrics.login_failed(trace.errors[0] if trace.errors else "")
        elif trace.outcome is None and trace.rules:
            self._metrics.denied(client, trace.rules[0])
        endpoint = trace.call.endpoint if trace.call else ""
        self._metrics.call_finished(client, endpoint, outcome, took_us / 1_000_000)
        if trace.call is not None and trace.call.dropped:
            self.dropped(client, endpoint, len(trace.call.dropped))
        if not trace.counted_only:
            self._line(trace, outcome, took_us)

    def dropped(self, client: str, endpoint: str, parameters: int) -> None:
        """Count parameters that were not sent on."""
        self._metrics.parameters_dropped(client, endpoint, parameters)

    def warn(self, kind: str, text: str) -> None:
        """Write a warning's line."""
        self._lines.line(time=self._clock.now_us(), level="warning", kind=kind, text=text)

    def bound_hit(self, bound: str, text: str) -> None:
        """Count a call or connection that a bound has kept out, with at most one line a minute."""
        self._metrics.bound_hit(bound)
        if self._bounds.take(bound):
            self.warn(bound, text)

    def alarm(self, kind: str, text: str) -> None:
        """Count an alarm and write its line."""
        self._metrics.alarm(kind)
        self._lines.line(time=self._clock.now_us(), level="alarm", kind=kind, text=text)

    def _line(self, trace: Trace, outcome: str, took_us: int) -> None:
        extra: dict[str, str | int] = {}
        if trace.errors:
            extra["error"] = trace.errors[-1]
        if trace.rules:
            extra["rules"] = ",".join(trace.rules)
        if trace.detail:
            extra["detail"] = trace.detail
        client, source = _quoted_again(trace.client_name or "-"), _quoted_again(trace.request.source)
        call = f"id={trace.id} client={client} source={source} call={_quoted_again(trace.endpoint)}"
        line = f"time={trace.started_us} {call} outcome={outcome} us={took_us}"
        self._lines.add(f"{line} {_pairs(extra)}" if extra else line)
