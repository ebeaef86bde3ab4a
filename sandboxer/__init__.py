"""sandboxer: run untrusted programs under a profile that a person can read.

    import sandboxer
    result = sandboxer.run(["python3", "job.py"], profile="python", timeout="10s")
    print(result.reason, result.exit_code)

Names are imported when they are used: `import sandboxer` costs nothing.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing is too dear for the warm path; checkers know this name
if TYPE_CHECKING:
    from sandboxer import aio
    from sandboxer.api import Options, Policy, load, run, stream
    from sandboxer.calls.asking import HostRefusal, host
    from sandboxer.calls.boxes.pool import Pool
    from sandboxer.calls.boxes.stocking import PoolError, PoolStats, Stocking
    from sandboxer.calls.call import Call
    from sandboxer.calls.decorator import sandboxed
    from sandboxer.calls.errors import RemoteError
    from sandboxer.calls.executor.executor import SandboxExecutor
    from sandboxer.calls.executor.task import box_task
    from sandboxer.calls.talk.host import HostCall, HostFunction
    from sandboxer.calls.wire.caps import SerializationError
    from sandboxer.errors import (
        HostError,
        InternalError,
        KernelError,
        PolicyError,
        ProfileError,
        SandboxerError,
        UnsupportedError,
    )
    from sandboxer.model.outcome.ending import (
        ExecutionError,
        MemoryLimit,
        OutputLimit,
        ProcessDied,
        SandboxTimeout,
        SetupError,
        ViolationError,
    )
    from sandboxer.model.outcome.files import Collected, LeftOut
    from sandboxer.model.result import (
        Denial,
        Denials,
        LabelDenial,
        LabelDenials,
        LandlockDenial,
        LandlockDenials,
        Reason,
        Result,
        Risk,
        Timings,
        Usage,
    )
    from sandboxer.run.in_place.restrict import Restriction, restrict
    from sandboxer.run.live.events import DenialSeen, Ended, Event, Stderr, Stdout, UsageTick
    from sandboxer.run.live.stream import Stream
    from sandboxer.sessions.box import Box
    from sandboxer.sessions.changes import Change
    from sandboxer.sessions.commit import Committed
    from sandboxer.sessions.process import Process

__version__ = "0.1.0"

__all__ = [
    "Box",
    "Call",
    "Change",
    "Collected",
    "Committed",
    "Denial",
    "DenialSeen",
    "Denials",
    "Ended",
    "Event",
    "ExecutionError",
    "HostCall",
    "HostError",
    "HostFunction",
    "HostRefusal",
    "InternalError",
    "KernelError",
    "LabelDenial",
    "LabelDenials",
    "LandlockDenial",
    "LandlockDenials",
    "LeftOut",
    "MemoryLimit",
    "Options",
    "OutputLimit",
    "Policy",
    "PolicyError",
    "Pool",
    "PoolError",
    "PoolStats",
    "Process",
    "ProcessDied",
    "ProfileError",
    "Reason",
    "RemoteError",
    "Restriction",
    "Result",
    "Risk",
    "SandboxExecutor",
    "SandboxTimeout",
    "SandboxerError",
    "SerializationError",
    "SetupError",
    "Stderr",
    "Stdout",
    "Stocking",
    "Stream",
    "Timings",
    "UnsupportedError",
    "Usage",
    "UsageTick",
    "ViolationError",
    "aio",
    "box_task",
    "host",
    "load",
    "restrict",
    "run",
    "sandboxed",
    "stream",
]

_HOMES = {
    "aio": "sandboxer.aio",
    "Call": "sandboxer.calls.call",
    **dict.fromkeys(("HostRefusal", "host"), "sandboxer.calls.asking"),
    **dict.fromkeys(("HostCall", "HostFunction"), "sandboxer.calls.talk.host"),
    "Pool": "sandboxer.calls.boxes.pool",
    **dict.fromkeys(("PoolError", "PoolStats", "Stocking"), "sandboxer.calls.boxes.stocking"),
    "SandboxExecutor": "sandboxer.calls.executor.executor",
    "box_task": "sandboxer.calls.executor.task",
    "SerializationError": "sandboxer.calls.wire.caps",
    "sandboxed": "sandboxer.calls.decorator",
    "RemoteError": "sandboxer.calls.errors",
    **dict.fromkeys(
        ("ExecutionError", "MemoryLimit", "OutputLimit", "ProcessDied", "SandboxTimeout", "SetupError", "ViolationError"),
        "sandboxer.model.outcome.ending",
    ),
    **dict.fromkeys(("Options", "Policy", "load", "run", "stream"), "sandboxer.api"),
    **dict.fromkeys(
        ("HostError", "InternalError", "KernelError", "PolicyError", "ProfileError", "SandboxerError", "UnsupportedError"),
        "sandboxer.errors",
    ),
    **dict.fromkeys(("Collected", "LeftOut"), "sandboxer.model.outcome.files"),
    **dict.fromkeys(("DenialSeen", "Ended", "Event", "Stderr", "Stdout", "UsageTick"), "sandboxer.run.live.events"),
    **dict.fromkeys(("Restriction", "restrict"), "sandboxer.run.in_place.restrict"),
    "Stream": "sandboxer.run.live.stream",
    "Box": "sandboxer.sessions.box",
    "Change": "sandboxer.sessions.changes",
    "Committed": "sandboxer.sessions.commit",
    "Process": "sandboxer.sessions.process",
    **dict.fromkeys(
        (
            "Denial",
            "Denials",
            "LabelDenial",
            "LabelDenials",
            "LandlockDenial",
            "LandlockDenials",
            "Reason",
            "Result",
            "Risk",
            "Timings",
            "Usage",
        ),
        "sandboxer.model.result",
    ),
}


class _Package(type(sys)):  # type: ignore[misc]  # ModuleType, without the import of types
    """This package: `sandboxer.run` is the public function; the package of that name is reached by imports all the same."""

    def __setattr__(self, name: str, value: object) -> None:
        if name != "run" or not isinstance(value, type(sys)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'sandboxer' has no attribute {name!r}")
    from importlib import import_module

    found: object = import_module(home)
    if name != "aio":
        found = getattr(found, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
