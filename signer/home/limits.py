"""The table ``[limits]`` of signer.toml: how much of the gateway all callers together, or one, may use at once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from signer.home.checked import Count, Seconds, Strict


class LimitsConfig(Strict):
    """``[limits]``: bounds that keep a flood of one kind of call away from all other calls."""

    public_calls_per_second_total: Count = 100
    """Public calls per second of all sources together, with a burst of ten seconds' worth."""
    public_calls_at_once: Count = 16
    """Public calls that may be under way to the venue. These connections are theirs alone."""
    connections_per_source: Count = 512
    """Connections of one source, or of one user at a unix socket. Connections of a reverse proxy have no such bound."""
    answers_mib: Annotated[int, Field(ge=80, le=65_536)] = 128
    """Memory in MiB for all answers that arrive or wait to be read. 80 suffice for one export and some lists."""
    answer_seconds: Seconds = 60.0
    """Seconds that a client may take to read its answer."""
    idle_records_per_second: Count = 10
    """Audit records per second of unproven calls, of all callers together, and as many again of refusals to clients.
    Further ones are only counted."""
    idle_records_mib_per_day: Count = 1024
    """MiB of such records in a day (UTC), for each of the two kinds."""
