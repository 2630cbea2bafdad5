"""The table ``[limits]`` of signer.toml: how much of the gateway all callers together, or one, may use at once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from signer.home.checked import Count, Seconds, Strict


class LimitsConfig(Strict):
    """``[limits]``: bounds that keep a flood of one kind of call from harming all other calls."""

    public_calls_per_second_total: Count = 100
    """Public calls per second of all sources together, with a burst of ten seconds' worth."""
    public_calls_at_once: Count = 16
    """Public calls under way to the exchange, on connections of their own. Up to 256 more wait, a quarter of them from
    one source."""
    connections_per_source: Count = 512
    """Connections of one source, or of one user at a unix socket; one more is closed at once. A proxy in
    ``trusted_proxies`` serves many callers, so it has no such bound.
    """
    answers_mib: Annotated[int, Field(ge=80, le=65_536)] = 128
    """Memory in MiB for all answers above 64 KiB that arrive or wait to be read: two exports. If it is full, the client
    or source that holds most loses the connection with the oldest answer.
    """
    answer_seconds: Seconds = 60.0
    """Seconds that a client may take to read its answer; then its connection is closed. An export of 64 MiB needs 9
    Mbit/s."""
    idle_records_per_second: Count = 10
    """Audit records per second of unproven calls (refused strangers, and calls that we answer ourselves), of all
    callers together, and as many again of refusals to clients. Further ones are only counted."""
    idle_records_mib_per_day: Count = 1024
    """MiB of such records in a day (UTC), for each of the two kinds: a year of attack fits on a disk of 1 TB."""
