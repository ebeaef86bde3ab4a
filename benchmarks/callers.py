"""Who is compared by `benchmarks.calls`: each calls `called.add` in another process, in its own way."""

from __future__ import annotations

import concurrent.futures
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.called import add, send
from sandboxer import Pool, Stocking, sandboxed

HERE = Path(__file__).resolve().parent
FLOOR, FRESH, NUMPY = "floor: fork, namespaces, filter", "sandboxer", "sandboxer, numpy loaded"
SHARED, WARM = "sandboxer, same-key", "ProcessPoolExecutor"
SCRIPT = "import json, sys; first, second = json.loads(sys.argv[1]); print(json.dumps(first + second))"
PATIENCE_S = 30.0
Add = Callable[[int, int], int]


class Stuck(Exception):
    """Somebody has not answered for so long that he never will; it is no time to compare with."""


@dataclass(frozen=True, slots=True)
class Caller:
    """One line of the table. program, module: what has to be there. open: a context in which it calls.

    burst: calls in each of its turns, one after the other: more than one, because some have a process made ahead.
    """

    name: str
    open: Callable[[ExitStack], Add]
    program: str = ""
    module: str = ""
    burst: int = 5


def open_floor(stack: ExitStack) -> Add:
    """See `floor.py`."""
    command = [sys.executable, "-I", "-S", str(HERE / "floor.py")]
    server = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    assert server.stdin is not None
    assert server.stdout is not None
    requests, answers = stack.enter_context(server.stdin), server.stdout

    def call(first: int, second: int) -> int:
        requests.write(json.dumps([first, second]) + "\n")
        requests.flush()
        return int(json.loads(answers.readline())["value"])

    return call


def open_fresh(stack: ExitStack) -> Add:
    """A box for each call, from an image, as users have it: the next ones are started while this one works."""
    return _open_pool(stack, Stocking())


def open_numpy(stack: ExitStack) -> Add:
    """The same, with numpy in the image."""
    return _open_pool(stack, Stocking(preload=("numpy",)))


def open_bare(stack: ExitStack) -> Add:
    """None ahead: each call waits for the whole start of its box."""
    return _open_pool(stack, Stocking(spares=0))


def open_shared(stack: ExitStack) -> Add:
    """One box for all calls."""
    return _open_pool(stack, Stocking(reuse="same-key", max_uses=1 << 30))


def _open_pool(stack: ExitStack, stocking: Stocking) -> Add:
    return sandboxed(pool=stack.enter_context(Pool("python", stocking=stocking)))(add)


def open_process(method: str) -> Callable[[ExitStack], Add]:
    """multiprocessing: a process for each call, and a pipe for its value."""

    def open_one(_: ExitStack) -> Add:
        context: Any = multiprocessing.get_context(method)

        def call(first: int, second: int) -> int:
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=send, args=(theirs, first, second))
            process.start()
            theirs.close()
            with ours:
                value: int = ours.recv()
            process.join()
            process.close()
            return value

        return call

    return open_one


def open_executor(most_calls: int | None) -> Callable[[ExitStack], Add]:
    """concurrent.futures, with a new process after so many calls."""

    def open_one(stack: ExitStack) -> Add:
        executor = concurrent.futures.ProcessPoolExecutor(1, max_tasks_per_child=most_calls)
        end = stack.enter_context(ExitStack())
        end.callback(executor.shutdown)

        def call(first: int, second: int) -> int:
            try:
                return executor.submit(add, first, second).result(PATIENCE_S)
            except TimeoutError:
                end.pop_all()  # the shutdown would wait for the answer
                raise Stuck from None

        return call

    return open_one


def open_pebble(most_calls: int) -> Callable[[ExitStack], Add]:
    """pebble, with a new process after so many calls; 0: with one for all."""

    def open_one(stack: ExitStack) -> Add:
        from pebble import ProcessPool

        pool = stack.enter_context(ProcessPool(max_workers=1, max_tasks=most_calls))
        return lambda first, second: pool.schedule(add, args=[first, second]).result()  # type: ignore[no-any-return]

    return open_one


def open_bwrap(_: ExitStack) -> Add:
    """bubblewrap and a bare interpreter, which gets its arguments as text."""
    options = "--unshare-all --die-with-parent --cap-drop ALL --ro-bind / / --dev /dev --proc /proc --tmpfs /tmp"
    command = ["bwrap", *options.split(), "--", os.path.realpath(sys.executable), "-I", "-S", "-c", SCRIPT]

    def call(first: int, second: int) -> int:
        done = subprocess.run([*command, json.dumps([first, second])], stdout=subprocess.PIPE, check=True)
        return int(json.loads(done.stdout))

    return call


FRESH_CALLERS = (
    Caller(FLOOR, open_floor),
    Caller(FRESH, open_fresh),
    Caller(NUMPY, open_numpy, module="numpy"),
    Caller("sandboxer, none ahead", open_bare),
    Caller("multiprocessing, forkserver", open_process("forkserver"), burst=3),
    Caller("multiprocessing, spawn", open_process("spawn"), burst=3),
    Caller("ProcessPoolExecutor, one call each", open_executor(1), burst=3),
    Caller("pebble, one call each", open_pebble(1), module="pebble", burst=3),
    Caller("bwrap and python -I -S", open_bwrap, program="bwrap"),
)
WARM_CALLERS = (
    Caller(SHARED, open_shared),
    Caller(WARM, open_executor(None)),
    Caller("pebble", open_pebble(0), module="pebble"),
)


def is_there(caller: Caller) -> bool:
    """Whether what it needs is installed."""
    return (not caller.program or bool(shutil.which(caller.program))) and (not caller.module or bool(find_spec(caller.module)))


@contextmanager
def project() -> Iterator[Path]:
    """A directory with what is called, and numpy, as somebody's who calls functions; we are in it.

    What a box is shown is mounted for each call, and this repository has more of that than others.
    """
    with tempfile.TemporaryDirectory(prefix="sandboxer-bench-") as name:
        place = Path(name)
        place.chmod(0o755)
        (place / "benchmarks").mkdir()
        (place / "benchmarks/__init__.py").touch()
        shutil.copy(HERE / "called.py", place / "benchmarks/called.py")
        found = find_spec("numpy")
        for directory in (
            (Path(found.origin).parent, Path(found.origin).parents[1] / "numpy.libs") if found and found.origin else ()
        ):
            if directory.exists():
                shutil.copytree(directory, place / directory.name)
        before = os.getcwd()
        os.chdir(place)
        sys.path.insert(0, name)
        try:
            yield place
        finally:
            sys.path.remove(name)
            os.chdir(before)


@contextmanager
def hidden_program() -> Iterator[None]:
    """Processes of multiprocessing import the program of their parent. This one is much to import, and nothing that they call."""
    main = sys.modules["__main__"]
    kept = {name: main.__dict__.pop(name) for name in ("__spec__", "__file__") if name in main.__dict__}
    main.__spec__ = None
    try:
        yield
    finally:
        main.__dict__.update(kept)
