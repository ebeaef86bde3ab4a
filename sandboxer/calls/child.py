"""What runs in the box: it takes a function and its arguments from the caller, calls it, and answers.

The caller trusts nothing of what happens here. The interpreter is bare (-I -S), and the modules that this needs come with the
request: no box has to show sandboxer. A module that imports `sandboxed` gets a stand-in that leaves functions as they are.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pickle
import sys
import traceback
from collections.abc import Coroutine
from types import CodeType, ModuleType
from typing import Any

WIRE_FD = 60
"""Where the wire is, once standard input is empty; out of the way of what the function opens."""
MAIN = "__sandboxed_main__"
MAX_TEXT = 8192
MAX_FRAMES = 100


class _Bundle:
    """Finds the modules that came with the request; asked first."""

    def __init__(self, codes: dict[str, tuple[CodeType, bool]]) -> None:
        self.codes = codes

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> Any:
        if name not in self.codes:
            return None
        return importlib.util.spec_from_loader(name, self, is_package=self.codes[name][1])  # type: ignore[arg-type]

    def create_module(self, _spec: object) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(self.codes[module.__name__][0], module.__dict__)


def main(codes: dict[str, tuple[CodeType, bool]]) -> None:
    """Take the request from standard input, and answer there."""
    wire = os.dup2(0, WIRE_FD, inheritable=False)
    request = pickle.loads(_read_block(wire))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.path[:] = request["path"]
    sys.meta_path.insert(0, _Bundle(codes))
    kind, value = _call(request)
    _answer(wire, kind, value)
    os._exit(0)  # threads that never end, and what waits for the end of the interpreter, are not waited for


def _read_block(fd: int) -> bytes:
    size = int.from_bytes(_read(fd, 8), "little")
    return _read(fd, size)


def _read(fd: int, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = os.read(fd, min(size - len(data), 1 << 20))
        if not piece:
            os._exit(1)  # the caller is gone
        data += piece
    return bytes(data)


def _call(request: dict[str, Any]) -> tuple[int, Any]:
    from sandboxer.calls.wire.frame import ERROR, VALUE

    try:
        function = _find(request)
        arguments, keywords = pickle.loads(request["arguments"])
        value = function(*arguments, **keywords)
        if isinstance(value, Coroutine):
            from asyncio import run

            value = run(value)
        return VALUE, value
    except BaseException as error:  # SystemExit and KeyboardInterrupt are answers too
        return ERROR, describe(error)


def _find(request: dict[str, Any]) -> Any:
    """The function: itself, or by its name."""
    if request["by_value"]:
        return pickle.loads(request["by_value"])
    function: Any = _load(request["module"], request["file"])
    for name in request["name"].split("."):
        function = getattr(function, name)
    return function


def _load(module: str, file: str) -> ModuleType:
    """The module of the function. A program's main module is run under another name, so that its guarded part is not."""
    if not file:
        return importlib.import_module(module)
    spec = importlib.util.spec_from_file_location(MAIN, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot import {file}")
    made = importlib.util.module_from_spec(spec)
    sys.modules[MAIN] = sys.modules["__main__"] = made  # arguments may be of its classes
    spec.loader.exec_module(made)
    return made


def describe(error: BaseException, depth: int = 5) -> dict[str, Any]:
    """An exception as data: the names of its classes, its text, where it was, and what led to it."""
    frames = traceback.extract_tb(error.__traceback__)[-MAX_FRAMES:]
    told: dict[str, Any] = {
        "classes": [f"{kind.__module__}:{kind.__qualname__}" for kind in type(error).__mro__],
        "text": _text(error),
        "frames": [
            [frame.filename[:MAX_TEXT], frame.lineno or 0, frame.name[:200], (frame.line or "")[:200]] for frame in frames
        ],
        "notes": [str(note)[:MAX_TEXT] for note in getattr(error, "__notes__", ())][:20],
    }
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and depth:
        told["cause"] = describe(cause, depth - 1)
    return told


def _text(error: BaseException) -> str:
    try:
        return str(error)[:MAX_TEXT]
    except Exception:  # whatever its __str__ does
        return "(its text cannot be had)"


def _answer(wire: int, kind: int, value: Any) -> None:
    from sandboxer.calls.wire.encode import encode
    from sandboxer.calls.wire.frame import ERROR, pack_frame

    try:
        sent = encode(value)
    except BaseException as error:
        kind, sent = ERROR, encode(describe(error, 0))
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # the function may have closed or replaced it
            continue
    for buffer in pack_frame(kind, sent.text, sent.segments):
        left = memoryview(buffer).cast("B")
        while left:
            left = left[os.write(wire, left) :]
