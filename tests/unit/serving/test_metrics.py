"""What Prometheus reads is what happened, and it stays bounded."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from signer.serving.telemetry import OTHER, Metrics

Samples = dict[tuple[str, tuple[str, ...]], float]


def read(metrics: Metrics) -> Samples:
    """Every sample but creation times: name and label values to value."""
    families = text_string_to_metric_families(metrics.render().decode())
    samples = (sample for family in families for sample in family.samples)
    return {(s.name, tuple(s.labels.values())): s.value for s in samples if not s.name.endswith("_created")}


def test_what_happened_is_counted() -> None:
    """Each method shows in its own metric, under its own labels."""
    metrics = Metrics()
    for seconds in (0.0007, 0.3, 20.0):
        metrics.call_finished("bot", "AddOrder", "accepted", seconds)
    metrics.call_finished("bot", "AddOrder", "rejected", 0.001)
    metrics.denied("bot", "never")
    metrics.parameters_dropped("bot", "Balance", 3)
    metrics.login_failed("EAPI:Invalid key")
    metrics.alarm("nonce")
    metrics.lane("main", waiting=4, paused=True, stopped=False)
    metrics.lane("main", waiting=3, paused=False, stopped=True)
    metrics.quiet_left("spot", "", 12.5)
    metrics.halts_in_force({("client", "halted"): 3})
    metrics.halts_in_force({("pair", "cancel_only"): 2})
    metrics.unknown_outcomes(2)
    metrics.audit_healthy(True)
    samples = read(metrics)
    assert samples["signer_calls_total", ("bot", "AddOrder", "accepted")] == 3
    assert samples["signer_calls_total", ("bot", "AddOrder", "rejected")] == 1
    assert samples["signer_call_seconds_count", ("AddOrder",)] == 4
    assert samples["signer_call_seconds_sum", ("AddOrder",)] == pytest.approx(20.3017)
    assert samples["signer_call_seconds_bucket", ("AddOrder", "0.001")] == 2
    assert samples["signer_call_seconds_bucket", ("AddOrder", "10.0")] == 3
    assert samples["signer_denied_total", ("bot", "never")] == 1
    assert samples["signer_parameters_dropped_total", ("bot", "Balance")] == 3
    assert samples["signer_logins_failed_total", ("EAPI:Invalid key",)] == 1
    assert samples["signer_alarms_total", ("nonce",)] == 1
    assert samples["signer_lane_waiting", ("main",)] == 3
    assert (samples["signer_lane_paused", ("main",)], samples["signer_lane_stopped", ("main",)]) == (0, 1)
    assert samples["signer_quiet_seconds", ("spot", "")] == 12.5
    assert {labels: value for (name, labels), value in samples.items() if name == "signer_halts"} == {
        ("pair", "cancel_only"): 2
    }
    assert samples["signer_unknown_outcomes", ()] == 2
    assert samples["signer_audit_healthy", ()] == 1
    metrics.audit_healthy(False)
    assert read(metrics)["signer_audit_healthy", ()] == 0


def test_made_up_labels_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond so many combinations all others are counted as one, and none is lost."""
    monkeypatch.setattr("signer.serving.telemetry.MOST_SERIES", 20)
    metrics = Metrics()
    for number in range(20 + 50):
        metrics.call_finished("bot", f"Made{number}", "denied", 0.001)
    calls = {labels: value for (name, labels), value in read(metrics).items() if name == "signer_calls_total"}
    assert len(calls) == 20 + 1
    assert calls[OTHER, OTHER, OTHER] == 50
    assert sum(calls.values()) == 20 + 50


def test_labels_cannot_forge_lines() -> None:
    """A label with quotes and line breaks reads back as itself."""
    metrics = Metrics()
    nasty = 'a"} 9\nsigner_audit_healthy 1\n'
    metrics.denied(nasty, "rule")
    samples = read(metrics)
    assert samples["signer_denied_total", (nasty, "rule")] == 1
    assert samples["signer_audit_healthy", ()] == 0


def test_metrics_are_their_own() -> None:
    """Two gateways in one process, as tests make them, do not count into each other."""
    one, other = Metrics(), Metrics()
    one.alarm("nonce")
    assert ("signer_alarms_total", ("nonce",)) not in read(other)


def test_of_a_key_that_is_no_more_nothing_is_read() -> None:
    """Findings and end of a key that was removed leave the metrics, since they would alarm for ever."""
    metrics = Metrics()
    metrics.credential("old", proven=False, found={"expires": True}, expires_us=5_000_000)
    assert read(metrics)["signer_credential_expires_timestamp_seconds", ("old",)] == 5
    metrics.forget_credentials()
    metrics.credential("new", proven=True, found={"expires": False}, expires_us=None)
    samples = {name: value for name, value in read(metrics).items() if name[0].startswith("signer_credential")}
    assert samples == {
        ("signer_credential_proven", ("new",)): 1,
        ("signer_credential_finding", ("new", "expires")): 0,
    }
