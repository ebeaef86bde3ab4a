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
    from sandboxer.api import Options, Policy, load, run
    from sandboxer.calls.asking import HostRefusal, host
    from sandboxer.calls.call import Call
    from sandboxer.calls.decorator import sandboxed
    from sandboxer.calls.errors import (
        ExecutionError,
        MemoryLimit,
        OutputLimit,
        ProcessDied,
        RemoteError,
        SandboxTimeout,
        ViolationError,
    )
    from sandboxer.calls.executor.executor import SandboxExecutor
    from sandboxer.calls.host import HostCall, HostFunction
    from sandboxer.calls.pool import Pool, PoolError, Stocking
    from sandboxer.calls.wire.caps import SerializationError
    from sandboxer.errors import HostError, InternalError, KernelError, ProfileError, SandboxerError
    from sandboxer.model.result import Denial, Denials, LandlockDenial, LandlockDenials, Reason, Result, Risk, Timings, Usage

__version__ = "0.1.0"

__all__ = [
    "Call",
    "Denial",
    "Denials",
    "ExecutionError",
    "HostCall",
    "HostError",
    "HostFunction",
    "HostRefusal",
    "InternalError",
    "KernelError",
    "LandlockDenial",
    "LandlockDenials",
    "MemoryLimit",
    "Options",
    "OutputLimit",
    "Policy",
    "Pool",
    "PoolError",
    "ProcessDied",
    "ProfileError",
    "Reason",
    "RemoteError",
    "Result",
    "Risk",
    "SandboxExecutor",
    "SandboxTimeout",
    "SandboxerError",
    "SerializationError",
    "Stocking",
    "Timings",
    "Usage",
    "ViolationError",
    "host",
    "load",
    "run",
    "sandboxed",
]

_HOMES = {
    "Call": "sandboxer.calls.call",
    **dict.fromkeys(("HostRefusal", "host"), "sandboxer.calls.asking"),
    **dict.fromkeys(("HostCall", "HostFunction"), "sandboxer.calls.host"),
    "SandboxExecutor": "sandboxer.calls.executor.executor",
    **dict.fromkeys(("Pool", "PoolError", "Stocking"), "sandboxer.calls.pool"),
    "SerializationError": "sandboxer.calls.wire.caps",
    "sandboxed": "sandboxer.calls.decorator",
    **dict.fromkeys(
        ("ExecutionError", "MemoryLimit", "OutputLimit", "ProcessDied", "RemoteError", "SandboxTimeout", "ViolationError"),
        "sandboxer.calls.errors",
    ),
    **dict.fromkeys(("Options", "Policy", "load", "run"), "sandboxer.api"),
    **dict.fromkeys(("HostError", "InternalError", "KernelError", "ProfileError", "SandboxerError"), "sandboxer.errors"),
    **dict.fromkeys(
        ("Denial", "Denials", "LandlockDenial", "LandlockDenials", "Reason", "Result", "Risk", "Timings", "Usage"),
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

    found: object = getattr(import_module(home), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
