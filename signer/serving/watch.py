"""Watches over the gateway: metrics, one line per request, alarms."""

from __future__ import annotations

from signer.contracts import Clock
from signer.gateway.source_rate import SourceRate
from signer.gateway.trace import Trace
from signer.serving.logline import LineLog
from signer.serving.metrics import Metrics

BOUND_LINE_S = 60


class GatewayWatch:
    """`signer.gateway.trace.Watch` over metrics and the line log."""

    def __init__(self, metrics: Metrics, lines: LineLog, clock: Clock) -> None:
        self._metrics = metrics
        self._lines = lines
        self._clock = clock
        self._bounds = SourceRate[str](1 / BOUND_LINE_S, 1, clock)

    def finished(self, trace: Trace) -> None:
        """Count a request and write its line, unless it is one of too many from somebody who is no client."""
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
        """Write its line."""
        self._lines.line(time=self._clock.now_us(), level="warning", kind=kind, text=text)

    def bound_hit(self, bound: str, text: str) -> None:
        """Count what a bound has kept out. A flood of it has a line a minute: the metric has the number."""
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
        self._lines.line(
            time=trace.started_us,
            id=trace.id,
            client=trace.client_name or "-",
            source=trace.request.source,
            call=trace.endpoint,
            outcome=outcome,
            us=took_us,
            **extra,
        )
