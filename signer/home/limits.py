"""The table ``[limits]`` of signer.toml: how much of the gateway all callers, or one of them, may have at once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from signer.home.checked import Count, Seconds, Strict


class LimitsConfig(Strict):
    """``[limits]``: each bound keeps a flood of one kind of call from the calls of everybody else."""

    public_calls_per_second_total: Count = 100
    """Public calls of all sources together, with a burst of ten seconds' worth."""
    public_calls_at_once: Count = 16
    """Public calls that may be under way to the exchange. They have these connections for themselves."""
    connections_per_source: Count = 512
    """Connections of one source, or of one user at a unix socket; those of a reverse proxy are of many sources."""
    answers_mib: Annotated[int, Field(ge=80, le=65_536)] = 128
    """Memory for all answers that arrive or wait to be read; 80 is one export and some lists."""
    answer_seconds: Seconds = 60.0
    """How long a client may take to read its answer."""
    idle_records_per_second: Count = 10
    """Records of what proves nothing, of all callers together, and as many again of clients' refusals; others are
    counted."""
    idle_records_mib_per_day: Count = 1024
    """Their bytes in a day (UTC), each of the two."""
