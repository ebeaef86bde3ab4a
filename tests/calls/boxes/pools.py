"""Pools for tests of a pool, and what these look at."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sandboxer
from sandboxer import Pool, Stocking


def stocked(**stocking: Any) -> Pool:
    return Pool(stocking=Stocking(**stocking))


def boxed(pool: Pool, function: Callable[..., Any]) -> Any:
    return sandboxer.sandboxed(pool=pool)(function)


def eventually(is_so: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
