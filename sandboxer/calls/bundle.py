"""What a box needs to take a call: the modules that run there, compiled, so that no box has to show sandboxer."""

from __future__ import annotations

import functools
import importlib.util
import marshal
import os
from types import CodeType

NAMES = (
    "sandboxer.errors", "sandboxer.calls.child", "sandboxer.calls.serving", "sandboxer.calls.channel", "sandboxer.calls.asking",
    "sandboxer.calls.frozen", "sandboxer.calls.wire.block", "sandboxer.calls.wire.caps",
    "sandboxer.calls.wire.kinds", "sandboxer.calls.wire.encode", "sandboxer.calls.wire.frame",
    "sandboxer.kernel.buffers.passing", "sandboxer.kernel.buffers.sealed",
)  # fmt: skip
VALUE_NAMES = ("cloudpickle", "cloudpickle.cloudpickle")
PACKAGES = ("sandboxer.calls", "sandboxer.calls.wire", "sandboxer.kernel", "sandboxer.kernel.buffers")
STAND_IN = """
def sandboxed(function=None, **options):
    return function if function is not None else lambda function: function
def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    if name in ("host", "HostRefusal"):
        from sandboxer.calls import asking
        return getattr(asking, name)
    return type(name, (Exception,), {"__module__": "sandboxer", "__init__": lambda self, *arguments, **options: None})
"""
"""What `import sandboxer` gives in the box: the decorator leaves functions as they are, `host` is there to be asked, other
names are there to be named, and to be made at the top of a module."""
BOOT = """
import marshal, os, sys
def take(size):
    data = b""
    while len(data) < size:
        piece = os.read(0, size - len(data))
        if not piece:
            os._exit(1)
        data += piece
    return data
codes = marshal.loads(take(int.from_bytes(take(8), "little")))
space = {"__name__": "sandboxer.calls.child"}
exec(codes["sandboxer.calls.child"][0], space)
space["main"](codes)
"""


@functools.cache
def bundle(*, by_value: bool = False) -> bytes:
    """The modules as bytes, with their length ahead: for this very interpreter. by_value: those too that make functions again."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    codes: dict[str, tuple[CodeType, bool]] = {"sandboxer": (compile(STAND_IN, "<sandboxer>", "exec"), True)}
    codes |= {name: (compile("", f"<{name}>", "exec"), True) for name in PACKAGES}
    for name in NAMES:
        path = os.path.join(root, *name.split(".")[1:]) + ".py"
        with open(path, "rb") as file:
            codes[name] = (compile(file.read(), f"<{name}>", "exec"), False)
    for name in VALUE_NAMES if by_value else ():
        with open(_source_of(name), "rb") as file:
            codes[name] = (compile(file.read(), f"<{name}>", "exec"), name == VALUE_NAMES[0])
    data = marshal.dumps(codes)
    return len(data).to_bytes(8, "little") + data


def _source_of(name: str) -> str:
    found = importlib.util.find_spec(name)
    if found is None or not found.origin:
        raise ImportError(f"{name} has no source")
    return found.origin
