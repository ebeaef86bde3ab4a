"""The container of the attempts without layers holds nothing of this machine, and nothing of it is held."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.attack.layers.container import HOST_ID, MAPPED, Planted, check_lost
from tests.attack.layers.measure import ROOT
from tests.attack.layers.test_layers import NEEDS
from tests.live.needs import needs

NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")


def look(planted: Planted) -> None:
    """Print what there is to see; it runs in the container."""
    seen = {
        "namespaces": {name: os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES},
        "ids": [[int(word) for word in line.split()] for line in Path("/proc/self/uid_map").read_text().splitlines()],
        "root": sorted(os.listdir("/")),
        "mounts": [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()],
        "first": Path("/proc/1/status").read_text(),
        "planted": {name: os.path.exists(planted[name]) for name in ("file", "socket")},
        "device": _errno(lambda: os.mknod("/tmp/node", 0o020600, os.makedev(1, 1))),
        "setting": _errno(lambda: Path("/proc/sys/kernel/core_pattern").open("w").close()),
    }
    print(json.dumps(seen))


def _errno(work: Any) -> int:
    try:
        work()
    except OSError as error:
        return error.errno or 0
    return 0


def run(ahead: str, work: str) -> subprocess.CompletedProcess[str]:
    """Do the work, an expression, in a container: in a program that has one thread and can be lost."""
    lines = (ahead, "from tests.attack.layers.container import run_in_container", f"raise SystemExit(run_in_container({work}))")
    words = [sys.executable, "-c", "\n".join(lines)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """What was seen in a container."""
    done = run("from tests.attack.layers.test_container import look", "look")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@needs(*NEEDS)
def test_container_has_all_namespaces_for_itself(seen: dict[str, Any]) -> None:
    own = {name: os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES}
    assert not set(seen["namespaces"].values()) & set(own.values())


@needs(*NEEDS)
def test_container_belongs_to_ids_that_nobody_has(seen: dict[str, Any]) -> None:
    assert seen["ids"] == [list(row) for row in MAPPED]
    assert all(outside >= HOST_ID for _, outside, _ in seen["ids"])


@needs(*NEEDS)
def test_container_shows_its_own_root(seen: dict[str, Any]) -> None:
    assert seen["root"] == ["dev", "etc", "home", "outside", "proc", "project", "root", "run", "sys", "tmp", "usr", "var"]
    assert seen["planted"] == {"file": True, "socket": True}
    assert all(path == "/" or path.startswith(("/dev", "/proc", "/usr")) for path in seen["mounts"])


@needs(*NEEDS)
def test_containers_root_has_every_capability_and_none_of_the_hosts(seen: dict[str, Any]) -> None:
    """It may do in its namespaces what it likes, and is refused what is the machine's."""
    assert "CapEff:\t000001ffffffffff" in seen["first"]
    assert (seen["device"], seen["setting"]) == (1, 13)


@needs(*NEEDS)
def test_work_that_fails_is_told() -> None:
    done = run("", "lambda _: 1 / 0")
    assert done.returncode == 70
    assert "ZeroDivisionError" in done.stderr


def test_ids_of_somebody_are_refused() -> None:
    """The last guard: this process is in no such container."""
    with pytest.raises(RuntimeError, match="the container's ids are not nobody's"):
        check_lost()
