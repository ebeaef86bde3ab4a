"""Calls that start from an image: as good as from a fresh interpreter, and no two know of each other."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import sandboxer
from sandboxer import Pool, PoolStats, Stocking
from sandboxer.calls.boxes import image
from sandboxer.calls.boxes.pool import clear_pools
from sandboxer.model.result import Reason
from tests.live.users import Installation, Person

SEALS = """
import contextlib, fcntl
with contextlib.suppress(OSError):
    fcntl.fcntl(61, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL)
"""


def with_modules(project: Path, **texts: str) -> list[str]:
    """Modules of a test's own; their names."""
    for name, text in texts.items():
        (project / f"{name}.py").write_text(text)
    return list(texts)


@pytest.fixture
def module(in_project: Path) -> Any:
    """Makes a module, which is gone afterwards."""
    made: list[str] = []

    def make(text: str) -> str:
        name = f"made_{time.monotonic_ns()}"
        made.extend(with_modules(in_project, **{name: text}))
        return name

    yield make
    for name in made:
        (in_project / f"{name}.py").unlink()


def pool_of(*preload: str, **options: Any) -> Pool:
    return Pool(stocking=Stocking(preload=preload), **options)


def stats_of(function: Any) -> PoolStats:
    return function._terms.pool.stats()  # type: ignore[no-any-return]


def test_boxes_go_on_from_one_image(plain: ModuleType) -> None:
    with pool_of() as pool:
        add = sandboxer.sandboxed(pool=pool)(plain.value_after)
        assert [add(0, value) for value in range(5)] == list(range(5))
        found = pool.stats()
        assert (found.images, found.from_exec, found.refusal, found.calls) == (1, 0, "", 5)
        assert found.from_image >= 5
        assert 1 << 20 < found.image_bytes < 100 << 20


def test_everything_works_there(plain: ModuleType) -> None:
    with pool_of() as pool:
        works = sandboxer.sandboxed(pool=pool)(plain.works)
        for _ in range(3):
            seen, said, size, depth, read, name = works()
            assert (seen, said, size, depth, read) == ([1, 10], "said\n", 50_000_000, 5000, "")
            assert name.startswith("python")
        assert pool.stats().from_exec == 0


def test_no_call_sees_what_another_did_to_a_module(plain: ModuleType) -> None:
    count = sandboxer.sandboxed(plain.count)
    assert [count() for _ in range(4)] == [1, 1, 1, 1]


def test_random_numbers_are_of_each_call_alone(plain: ModuleType, packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(packages))
    numbers = sandboxer.sandboxed(preload=["numpy", "ssl"])(plain.numbers)
    rows = [numbers() for _ in range(4)]
    assert stats_of(numbers).from_exec == 0
    for column in (0, 1, 3, 4):
        assert len({str(row[column]) for row in rows}) == 4


TOLD = """
import logging, os, random, threading
told = []
held = threading.Lock()
def fails():
    raise ValueError("of the hook")
def let_go():
    held.release()
    told.append("last")
os.register_at_fork(before=lambda: told.append("before"), after_in_child=lambda: told.append("first"))
os.register_at_fork(after_in_parent=lambda: told.append("parent"))
os.register_at_fork(after_in_child=fails)
os.register_at_fork(before=held.acquire, after_in_child=let_go)
def what() -> list[str]:
    logging.getLogger("x").warning("said")
    return [*told, str(held.locked()), type(os.register_at_fork).__name__]
"""


def test_who_asked_to_be_told_of_forks_is_told(module: Any) -> None:
    name = module(TOLD)
    with pool_of(name) as pool:
        found = sandboxer.sandboxed(pool=pool)(lambda: __import__(name).what()).call()  # not to be imported here
        assert pool.stats().from_exec == 0
    *told, is_held, kind = found.value
    assert told[-3:] == ["before", "first", "last"], "once for the fork whose child is frozen, and once for each that goes on"
    assert (is_held, kind, "parent" in told) == ("False", "builtin_function_or_method", False)
    assert b"of the hook" in found.result.stderr
    assert b"said" in found.result.stderr


def test_secret_of_hashes_is_of_an_image_or_of_each_fresh_interpreter(plain: ModuleType) -> None:
    numbers = sandboxer.sandboxed(plain.numbers)
    first, second = numbers()[2], numbers()[2]
    clear_pools()
    assert (first == second, first == numbers()[2]) == (True, False)
    fresh = sandboxer.sandboxed(fresh="exec")(plain.numbers)
    assert len({fresh()[2] for _ in range(3)}) == 3
    assert stats_of(fresh).from_image == 0


def test_old_image_is_made_anew(plain: ModuleType) -> None:
    with Pool(stocking=Stocking(max_age=0.2)) as pool:
        numbers = sandboxer.sandboxed(pool=pool)(plain.numbers)
        first = numbers()[2]
        time.sleep(0.25)
        assert numbers()[2] != first
        assert pool.stats().images == 2


def test_output_and_errors_are_as_from_a_fresh_interpreter(plain: ModuleType) -> None:
    says = sandboxer.sandboxed(plain.says)
    found = says.call("grüße")
    assert (found.value, found.result.stdout, found.result.stderr) == (5, "grüße\n".encode(), "grüße\n".encode())
    with pytest.raises(ValueError, match="it failed") as caught:
        sandboxer.sandboxed(plain.fails)()
    assert "pool_jobs.py" in caught.value.__notes__[0]


def test_usage_is_that_of_the_call(plain: ModuleType) -> None:
    found = sandboxer.sandboxed(plain.value_after).call(0.2, 1)
    assert 150_000 <= found.result.usage.wall_us < 2_000_000, "the monitor may hear a moment late that it begins"
    assert found.result.usage.user_us + found.result.usage.system_us < 150_000


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "import threading, time\nthreading.Thread(target=time.sleep, args=(100,), name='busy', daemon=True).start()",
            "the thread busy",
        ),
        ("file = open('/etc/group')", "is open in it: /etc/group"),
        ("import os\nos.write(61, b'no image at all')", ""),
        (
            SEALS,
            "cannot be sealed",
        ),
        ("import os\nos.closerange(3, 60)\nos.closerange(61, 62)", ""),
    ],
    ids=["thread", "file", "garbage", "seals", "closed"],
)
def test_what_cannot_be_frozen_starts_from_a_fresh_interpreter_and_the_pool_says_why(
    text: str, why: str, module: Any, plain: ModuleType
) -> None:
    with pool_of(module(text)) as pool:
        count = sandboxer.sandboxed(pool=pool)(plain.count)
        assert [count(), count()] == [1, 1]
        found = pool.stats()
        if why:
            assert (found.from_exec, found.images) == (2, 0)
            assert why in found.refusal


def test_no_image_is_made_where_nobody_can_watch(plain: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread is left, or, in some versions of Python, the interpreter is about to end."""

    def refuse(_: threading.Timer) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Timer, "start", refuse)
    with Pool("python") as pool:
        count = sandboxer.sandboxed(pool=pool)(plain.count)
        assert [count(), count()] == [1, 1]
        assert "at interpreter shutdown" in pool.stats().refusal


def test_module_that_does_not_load_is_an_error_of_the_call(module: Any, plain: ModuleType) -> None:
    with pool_of(module("raise KeyError('broken')")) as pool:
        count = sandboxer.sandboxed(pool=pool)(plain.count)
        for _ in range(2):
            with pytest.raises(KeyError, match="broken"):
                count()
    with pool_of("no_such_module") as pool, pytest.raises(ModuleNotFoundError, match="no_such_module"):
        sandboxer.sandboxed(pool=pool)(plain.count)()


@pytest.mark.parametrize("text", ["import os\nos._exit(0)", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"])
def test_module_that_ends_its_process_is_a_death(text: str, module: Any, plain: ModuleType) -> None:
    with pool_of(module(text)) as pool, pytest.raises(sandboxer.ProcessDied):
        sandboxer.sandboxed(pool=pool)(plain.count)()


def test_module_that_loads_for_ever_is_a_timeout(module: Any, plain: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "LOAD_SECONDS", 1.0)
    with pool_of(module("import time\ntime.sleep(1000)")) as pool, pytest.raises(sandboxer.SandboxTimeout, match="load"):
        sandboxer.sandboxed(pool=pool)(plain.count)()


def test_module_may_take_longer_to_load_than_a_call_may(module: Any, plain: ModuleType) -> None:
    with pool_of(module("import time\ntime.sleep(1.5)"), timeout=1) as pool:
        assert sandboxer.sandboxed(pool=pool)(plain.count)() == 1
        with pytest.raises(TimeoutError):
            sandboxer.sandboxed(pool=pool)(plain.value_after)(5, 1)


def test_module_that_prints_disturbs_nothing(module: Any, plain: ModuleType) -> None:
    with pool_of(module("print('loading')")) as pool:
        found = sandboxer.sandboxed(pool=pool)(plain.says).call("hello")
        assert (found.value, found.result.stdout) == (5, b"hello\n")
        assert pool.stats().from_exec == 0


def test_file_of_the_image_cannot_be_changed_from_a_call(plain: ModuleType) -> None:
    spoils = sandboxer.sandboxed(plain.spoils_the_image)
    for _ in range(3):
        assert all(spoils())
    assert stats_of(spoils).images >= 1
    assert stats_of(spoils).from_exec == 0


def test_two_threads_that_come_first_make_one_image(plain: ModuleType) -> None:
    with pool_of() as pool:
        count = sandboxer.sandboxed(pool=pool)(plain.count)
        found: list[int] = []
        threads = [threading.Thread(target=lambda: found.append(count())) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (found, pool.stats().images) == ([1] * 6, 1)


@pytest.mark.parametrize("profile", ["strict", "python"])
def test_profiles_that_are_shipped_let_an_image_be(profile: str, plain: ModuleType, in_project: Path) -> None:
    with Pool(profile, read=[in_project]) as pool:
        assert sandboxer.sandboxed(pool=pool)(plain.count)() == 1
        assert (pool.stats().from_exec, pool.stats().refusal) == (0, "")


PROGRAM = """
import sandboxer
from sandboxer import Pool, PoolStats, Stocking
from sandboxer import Pool

def double(number: int) -> int:
    return 2 * number

if __name__ == "__main__":
    with Pool() as pool:
        boxed = sandboxer.sandboxed(pool=pool)(double)
        print(*map(boxed, range(4)))
        found = pool.stats()
        print(found.images, found.from_exec, found.refusal)
"""


def test_ordinary_user_has_images_too(ordinary: Person, installation: Installation) -> None:
    place = ordinary.directory("images")
    (place / "program.py").write_text(PROGRAM)
    words = [*ordinary.prefix, str(installation.python), "program.py"]
    done = subprocess.run(words, cwd=place, env=ordinary.environment(None), capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.returncode) == ("0 2 4 6\n1 0 \n", 0), done.stderr


def test_machine_without_randomised_addresses_is_no_obstacle(in_project: Path) -> None:
    (in_project / "straight.py").write_text(PROGRAM)
    words = ["setarch", "-R", sys.executable, "straight.py"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    (in_project / "straight.py").unlink()
    assert (done.stdout, done.returncode) == ("0 2 4 6\n1 0 \n", 0), done.stderr


def test_reason_of_a_death_is_that_of_any_box(plain: ModuleType) -> None:
    with pytest.raises(sandboxer.MemoryLimit) as caught:
        sandboxer.sandboxed(params={"memory": "64M"})(plain.eats)(1 << 30)
    assert caught.value.result.reason is Reason.OOM
