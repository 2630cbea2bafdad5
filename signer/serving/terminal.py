"""Tells whether this process belongs to a terminal, and ends with it."""

from __future__ import annotations

import os
import signal


def has_terminal() -> bool:
    """Return whether SIGHUP would mean that the terminal is gone. Under `nohup`, which ignores it, it would not."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
