"""A clock that ticks on a descriptor, so that whoever waits for other things hears it too. timerfd_create(2)."""

from __future__ import annotations

import ctypes
import os
import time

_NONBLOCK = os.O_NONBLOCK | os.O_CLOEXEC
_libc = ctypes.CDLL(None, use_errno=True)


class Interval(ctypes.Structure):
    """struct itimerspec: the interval, then the first time; seconds and nanoseconds each."""

    _fields_ = (("again_s", ctypes.c_long), ("again_ns", ctypes.c_long), ("first_s", ctypes.c_long), ("first_ns", ctypes.c_long))


def open_clock(every_ms: int) -> int:
    """A descriptor that is readable each time that so much has passed. every_ms: > 0. Raises: OSError."""
    seconds, rest_ms = divmod(every_ms, 1000)
    descriptor = _checked(_libc.timerfd_create(time.CLOCK_MONOTONIC, _NONBLOCK))
    interval = Interval(seconds, rest_ms * 1_000_000, seconds, rest_ms * 1_000_000)
    try:
        _checked(_libc.timerfd_settime(descriptor, 0, ctypes.byref(interval), None))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
