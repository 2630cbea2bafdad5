"""Claims disk space for a file ahead of its use, so that nobody else can fill it."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Final

KEEP_SIZE: Final = 1
"""Linux's ``FALLOC_FL_KEEP_SIZE``: allocates blocks behind the end of the file (fallocate(2))."""

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Errors of a disk, or of this user's quota, that has no space."""

UNABLE: Final = frozenset({errno.EOPNOTSUPP, errno.ENOSYS})
"""Errors of a file system that cannot claim space ahead."""

_fallocate = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)
if _fallocate is not None:
    _fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def claim(file: int, length: int) -> None:
    """Claim space for the open ``file`` up to ``length`` bytes. Raises OSError and keeps what was claimed before."""
    if _fallocate is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    while _fallocate(file, KEEP_SIZE, 0, length) != 0:
        number = ctypes.get_errno()
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number))
