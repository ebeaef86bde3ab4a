"""Boxes that begin with a copy of a root show what others show, and the host as it is."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import sandboxer
from sandboxer import Pool, Stocking
from sandboxer.calls.boxes import image
from sandboxer.calls.boxes import pool as pool_module
from sandboxer.calls.roots.root import Root, make_root
from sandboxer.compile.encode import decode_ops
from sandboxer.run.about import LISTS, read_about
from sandboxer.run.start import find_or_prepare, make_request
from tests.calls.boxes.pools import boxed

ROOTS = 1 if os.geteuid() == 0 else 0
"""Of an ordinary user every box makes its own."""


@pytest.fixture
def jobs(in_project: Path) -> ModuleType:  # it is imported from there
    return importlib.import_module("boxed_jobs.around")


@pytest.fixture
def kept(in_project: Path) -> Iterator[Path]:
    """A directory of the project that its boxes may not write to."""
    place = in_project / ".git"
    (place / "hooks").mkdir(parents=True)
    yield place
    shutil.rmtree(place, ignore_errors=True)


def replace(place: Path) -> None:
    """Somebody removes the directory and makes another."""
    shutil.rmtree(place)
    (place / "hooks").mkdir(parents=True)


def namespaces_held() -> list[str]:
    links = []
    for name in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            continue
    return [link for link in links if link.startswith("mnt:")]


def test_box_with_a_copy_sees_what_another_sees(jobs: ModuleType, kept: Path) -> None:
    with Pool() as copied, Pool(stocking=Stocking(fresh="exec")) as own:
        found, expected = boxed(copied, jobs.look_around)(), boxed(own, jobs.look_around)()
        assert (copied.stats().from_root, own.stats().from_root) == (ROOTS, 0)
    assert sorted(found[0]) == sorted(expected[0])
    assert found[1] == expected[1]


def test_boxes_know_nothing_of_each_others_files(jobs: ModuleType) -> None:
    with Pool() as pool:
        write = boxed(pool, jobs.write_to)
        for place in ("/tmp/x", "/var/tmp/x", "/dev/shm/x", "/home/sandbox/x"):
            assert write(place) == "wrote"
            with pytest.raises(FileNotFoundError):
                boxed(pool, jobs.read_from)(place)
        assert write("/etc/passwd") == "Read-only file system"


def test_what_covers_a_directory_is_there_when_the_host_replaces_it(jobs: ModuleType, kept: Path) -> None:
    with Pool() as pool:
        write = boxed(pool, jobs.write_to)
        for _ in range(4):
            assert write(f"{kept}/hooks/x") == "Read-only file system"
            replace(kept)
        assert list((kept / "hooks").iterdir()) == []
        assert pool.stats().from_exec == 0


def test_box_that_has_lost_a_mount_does_not_run(jobs: ModuleType, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever replaces it in the moment between the pool's look and the copy."""
    monkeypatch.setattr(pool_module.Shown, "is_whole", lambda _: True)
    with Pool(stocking=Stocking(spares=0)) as pool:
        write = boxed(pool, jobs.write_to)
        assert write(f"{kept}/hooks/x") == "Read-only file system"
        replace(kept)
        assert write(f"{kept}/hooks/x") == "Read-only file system"
        assert pool.stats().images == 1 + ROOTS


def test_directory_that_was_replaced_is_shown_anew(jobs: ModuleType, in_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "LOOK_SECONDS", 0)
    place = in_project.parent / "granted"
    with Pool(read=[str(place)]) as pool:
        try:
            for text in ("first", "second"):
                place.mkdir()
                (place / "file").write_text(text)
                assert boxed(pool, jobs.read_from)(f"{place}/file") == text
                shutil.rmtree(place)
        finally:
            shutil.rmtree(place, ignore_errors=True)


def test_nothing_holds_the_root_once_the_pool_is_closed(in_project: Path) -> None:
    before = namespaces_held()
    with Pool() as pool:
        assert boxed(pool, len)("four") == 4
        assert len(namespaces_held()) == len(before) + ROOTS
    assert namespaces_held() == before


def test_calls_go_on_where_the_root_cannot_be_entered(in_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Root] = []

    def make_wrong(entry: Any) -> Root | None:
        root = image_make_root(entry)
        if root:
            with open("/dev/null") as null:
                os.dup2(null.fileno(), root.fd, inheritable=False)
            made.append(root)
        return root

    image_make_root = image.make_root
    monkeypatch.setattr(image, "make_root", make_wrong)
    with Pool() as pool:
        assert boxed(pool, len)("four") == 4
        assert (pool.stats().from_image, pool.stats().from_root) == (1, 0)
    assert [root.fd for root in made] == [-1] * ROOTS


def test_directory_that_is_gone_is_named(in_project: Path) -> None:
    place = in_project / "work"
    place.mkdir()
    with Pool(workdir=str(place)) as pool:
        assert boxed(pool, len)("four") == 4
        place.rmdir()
        with pytest.raises(sandboxer.SetupError, match=f"{place}"):
            boxed(pool, len)("four")


def test_every_step_of_a_copy_is_told(in_project: Path) -> None:
    entry = find_or_prepare(make_request("python", {}))
    root = make_root(entry)
    assert (root is not None) == bool(ROOTS)
    if not root:
        return
    about, lists = read_about(root.entry.about), decode_ops(root.entry.plan)
    root.close()
    assert about.digest == read_about(entry.about).digest
    for name in LISTS:
        kinds = [type(op).__name__ for op in lists[name]]
        assert [step.op for step in getattr(about, name)] == ["Attach" if kind == "MoveMount" else kind for kind in kinds]
    joined = next(step for step in about.inside if step.op == "JoinNamespace")
    assert (joined.control, joined.place) == ("filesystem", None)


def test_no_root_is_made_where_no_launcher_starts(in_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = find_or_prepare(make_request("python", {}))
    with monkeypatch.context() as patched:  # what looks for leftovers starts a box
        patched.setattr("sandboxer.launcher.spawn.launcher_path", lambda: "/nonexistent")
        assert make_root(entry) is None
