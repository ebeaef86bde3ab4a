"""In the box: takes a function and its arguments from the caller, calls it, and answers.

What a call needs is imported at the top: each import within a function, found or not, would write to pages of its own.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pickle
import sys
import traceback
from collections.abc import AsyncIterator, Coroutine
from types import MethodType, ModuleType, TracebackType
from typing import Any

from sandboxer.calls.asking import attach
from sandboxer.calls.channel import Channel, Gone, take_wire
from sandboxer.calls.wire.block import CALL, READY
from sandboxer.calls.wire.encode import Encoded, encode
from sandboxer.calls.wire.frame import DONE, ERROR, ITEM, VALUE

MAIN = "__sandboxed_main__"
MAX_TEXT = 8192
MAX_FRAMES = 100


def serve_all() -> None:
    """Serve the calls that come over standard input, and end the process when there will be no more."""
    channel = take_wire()
    try:
        ready, _ = channel.take(READY)
        if ready["image"]:
            channel = _become_image(channel, ready)
        else:
            prepare(ready)
        while True:
            serve(channel)
    except Gone:
        os._exit(0)  # threads that never end, and what waits for the end of the interpreter, are not waited for


def _become_image(channel: Channel, ready: dict[str, Any]) -> Channel:
    """Be written to the file that came as standard output, and answer how that went. It returns in who goes on from there."""
    from sandboxer.calls.frozen import Forks, freeze, keep_output

    kind: int
    value: Any
    keep_output()
    forks = Forks()
    try:
        prepare(ready)
        _rehearse()
        kind, value = VALUE, freeze(ready["image"], forks)
    except BaseException as error:
        kind, value = ERROR, describe(error)
    if kind == VALUE and not isinstance(value, str):
        return value  # type: ignore[no-any-return]
    _answer(channel, kind, value)
    os._exit(0)


def _rehearse() -> None:
    """Serve once for nothing, so that all of it has been loaded when calls come."""

    class Nowhere(Channel):
        def take(self, kind: int) -> tuple[Any, list[Any]]:
            named = {"by_value": b"", "module": "builtins", "name": "len", "file": "", "arguments": pickle.dumps((((),), {}))}
            return {**named, "window": None, "host": {}, "most_passed_bytes": 0}, []

        def end(self, kind: int, sent: Encoded) -> None:
            importlib.import_module("sandboxer.kernel.buffers.passing")

    serve(Nowhere(-1))


def prepare(ready: dict[str, Any]) -> None:
    """Make this interpreter ready to serve. ready: `path` is its `sys.path`; `modules` are imported now (module, file)."""
    sys.path[:] = ready["path"]
    for module, file in ready["modules"]:
        _load(module, file)


def serve(channel: Channel) -> None:
    """Take one call and answer it. Whatever the function does short of ending the process, this returns. Raises: Gone."""
    request, buffers = channel.take(CALL)
    channel.begin(window=request["window"], most_passed_bytes=request["most_passed_bytes"])
    attach(channel, request["host"])
    kind, value = _call(request, buffers, channel)
    attach(None, {})
    _answer(channel, kind, value)


def _call(request: dict[str, Any], buffers: list[Any], channel: Channel) -> tuple[int, Any]:
    try:
        function = _find(request)
        arguments, keywords = pickle.loads(request["arguments"], buffers=buffers)
        value = function(*arguments, **keywords)
        if request["window"] is not None:
            return DONE, _give_all(value, channel)
        if hasattr(value, "send") and isinstance(value, Coroutine):
            from asyncio import run

            value = run(value)
        return VALUE, value
    except BaseException as error:  # SystemExit and KeyboardInterrupt are answers too
        return ERROR, describe(error)


def _give_all(items: Any, channel: Channel) -> Any:
    """Send what a generator yields, each only once the caller has room for it; what it returns."""
    if hasattr(items, "__anext__"):
        from asyncio import run

        return run(_give_all_async(items, channel))
    while True:
        channel.wait_for_room()
        try:
            item = next(items)
        except StopIteration as end:
            return end.value
        _give(item, channel)


async def _give_all_async(items: AsyncIterator[Any], channel: Channel) -> None:
    from asyncio import get_running_loop

    while True:
        if not channel.has_room:  # the other tasks of the function go on
            await get_running_loop().run_in_executor(None, channel.wait_for_room)
        try:
            item = await anext(items)
        except StopAsyncIteration:
            return
        _give(item, channel)


def _give(item: Any, channel: Channel) -> None:
    channel.give(ITEM, encode(item))


def _find(request: dict[str, Any]) -> Any:
    """The function: itself, or by its name."""
    if request["by_value"]:
        return pickle.loads(request["by_value"])
    function: Any = _load(request["module"], request["file"])
    for name in request["name"].split("."):
        function = getattr(function, name)
    # Of a class method the class goes with the arguments, as the object of any method does.
    return function.__func__ if isinstance(function, MethodType) and not request["is_bound"] else function


def _load(module: str, file: str) -> ModuleType:
    """The module of the function. A program's main module is run under another name, once, so that its guarded part is not."""
    if not file:
        return sys.modules.get(module) or _import(module)
    if MAIN in sys.modules:
        return sys.modules[MAIN]
    if not os.path.exists(file):
        raise FileNotFoundError(
            f"the program is {file}, which the profile does not show to the box: start it from its own directory, or put the "
            "function into a module that the profile shows"
        )
    spec = importlib.util.spec_from_file_location(MAIN, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot import {file}")
    made = importlib.util.module_from_spec(spec)
    sys.modules[MAIN] = sys.modules["__main__"] = made  # arguments may be of its classes
    spec.loader.exec_module(made)
    return made


def _import(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and f"{module}.".startswith(f"{error.name}."):
            shown = [place for place in sys.path if os.path.exists(place)]
            error.add_note(
                f"of sys.path the box is shown {', '.join(shown) or 'nothing'}: the profile shows the directory that the caller "
                "starts in, and read=[...] more"
            )
        raise


def describe(error: BaseException, depth: int = 5) -> dict[str, Any]:
    """An exception as data: the names of its classes, its text, where it was, and what led to it."""
    frames = traceback.extract_tb(_beyond_us(error.__traceback__))[-MAX_FRAMES:]
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


def _beyond_us(frames: TracebackType | None) -> TracebackType | None:
    """The traceback from the function on; all of it where it does not come to one."""
    beyond = frames
    while beyond is not None and beyond.tb_frame.f_code.co_filename == _beyond_us.__code__.co_filename:
        beyond = beyond.tb_next
    return beyond or frames


def _text(error: BaseException) -> str:
    try:
        return str(error)[:MAX_TEXT]
    except Exception:  # whatever its __str__ does
        return "(its text cannot be had)"


def _answer(channel: Channel, kind: int, value: Any) -> None:
    try:
        sent = encode(value)
    except BaseException as error:
        kind, sent = ERROR, encode(describe(error, 0))
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # the function may have closed or replaced it
            continue
    channel.end(kind, sent)
