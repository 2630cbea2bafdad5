"""Keeps Python's garbage collector from looking again and again at objects that live as long as the process.

A full collection looks at every object of the process, some 25 ms for a small home, and no call is served meanwhile.
"""

from __future__ import annotations

import gc

THRESHOLDS = 5_000, 20, 50
"""The new objects that begin a collection of the young, and the collections after which older ones are looked at too.

Calls leave almost no garbage in cycles. An open order takes some objects that stay, so the young must not be few.
"""


def settle() -> None:
    """Free what is unreachable now, and leave everything else out of later collections.

    Call this after a reload. What was left out before is looked at too: a handle that a reload has dropped may be in a
    cycle.
    """
    gc.unfreeze()
    leave_out()


def leave_out() -> None:
    """Free what is unreachable of the objects that came since the last call, and leave the others out from now on.

    The master calls this before it forks, and the worker after its start. A collection writes to each object that it
    looks at, so a worker that looked at the master's would have a copy of their memory.
    """
    gc.set_threshold(*THRESHOLDS)
    gc.collect()
    gc.freeze()
