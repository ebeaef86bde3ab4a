"""The repository as the guest sees it, at the same path: git's files with uncommitted changes, the launcher, and a small .venv.

All of it is copied and byte-compiled here, where that is sixteen times cheaper, and becomes a disk: what the guest writes there
is gone with the machine, and the tree outside is safe from it.
"""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.vm.archive import output
from tests.vm.disk import MIB, make_disk
from tests.vm.machine import memory_file
from tests.vm.store import BUILD, ROOT, cached, locked

PYTHON = "/usr/bin/python3"
"""Debian's own, here and in the guest: the guest is of this machine's release."""
DISK_BYTES = 1024 * MIB
"""Always the same: a saved machine has seen the size of the disk."""
NOT_RUN_INSIDE = {"distributed", "hatchling", "mypy", "ruff", "types-PyYAML", "z3-solver"}
"""Tools of a developer, which no test that needs the VM asks for; they would be most of the disk."""


def requirements(pyproject: str) -> tuple[str, ...]:
    """What the guest's .venv has, of the project's own lists."""
    project = tomllib.loads(pyproject)["project"]
    wanted = (*project["dependencies"], *project["optional-dependencies"]["test"])
    return tuple(word for word in wanted if re.split(r"[<>=!~\[; ]", word)[0] not in NOT_RUN_INSIDE)


def find_venv() -> Path:
    """A .venv for the guest, made by Debian's Python from PyPI."""
    words = requirements((ROOT / "pyproject.toml").read_text())
    version = output([PYTHON, "-V"])
    inputs: list[str | Path] = [*words, version, str(ROOT), Path(__file__), ROOT / "scripts/sandboxer"]

    def make(into: Path) -> None:
        venv = into / ".venv"
        output([PYTHON, "-m", "venv", str(venv)])
        pip = [str(venv / "bin/python"), "-m", "pip", "--disable-pip-version-check", "-q"]
        output([*pip, "install", *words])
        (packages,) = venv.glob("lib/python*/site-packages")
        for path in (*packages.glob("pip*"), *packages.glob("setuptools*"), packages / "_distutils_hack"):
            shutil.rmtree(path, ignore_errors=True)
        (packages / "distutils-precedence.pth").unlink(missing_ok=True)
        (packages / "_sandboxer.pth").write_text(f"{ROOT}\n")
        for path in (venv / "bin").iterdir():  # they name the path of this directory
            if not path.is_symlink():
                path.unlink()
        script = (ROOT / "scripts/sandboxer").read_text().partition("\n")[2]
        (venv / "bin/sandboxer").write_text(f"#!{ROOT}/.venv/bin/python\n{script}")
        (venv / "bin/sandboxer").chmod(0o755)
        (venv / "lib64").unlink(missing_ok=True)
        output([PYTHON, "-m", "compileall", "-q", "-s", str(into), "-p", str(ROOT), str(packages)])

    return cached("venv", inputs, make, "installing the Python packages of the guest") / ".venv"


def make_tree_disk() -> Path:
    """The disk of this very moment's repository, a file without a name."""
    venv = find_venv()
    image = memory_file("tree", size_bytes=DISK_BYTES)
    staging = BUILD / "tree"
    with locked("tree"):
        staging.mkdir(exist_ok=True)
        sources = {name: ROOT / name for name in repository_files()}
        sources |= {f".venv/{path.relative_to(venv)}": path for path in venv.rglob("*") if path.is_symlink() or path.is_file()}
        synchronize(sources, staging)
        output([PYTHON, "-m", "compileall", "-q", "-x", r"/\.venv/", "-s", str(staging), "-p", str(ROOT), str(staging)])
        make_disk(staging, image, size_bytes=DISK_BYTES)
    return image


def repository_files() -> Iterator[str]:
    """What git knows or would add, the built programs, and test modules that pytest has compiled here for Debian's Python."""
    listed = output(["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "-c", "-o", "--exclude-standard"], cwd=ROOT)
    yield from (name for name in listed.split("\0") if name and os.path.lexists(ROOT / name))
    tag = output([PYTHON, "-c", "import sys; print(sys.implementation.cache_tag)"]).strip()
    programs = (ROOT / "sandboxer/launcher/bin").glob("sandboxer-*")
    built = [*programs, *(ROOT / "tests").rglob(f"__pycache__/*.{tag}-pytest-*.pyc")]
    yield from (str(path.relative_to(ROOT)) for path in built if path.exists())


def synchronize(sources: dict[str, Path], into: Path) -> None:
    """Make a directory have these files and no others, copying only what differs. Compiled files may stay."""
    for name, source in sources.items():
        target = into / name
        if _looks(target) == _looks(source):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        shutil.copy2(source, target, follow_symlinks=False)
    for path in into.rglob("*"):
        name = str(path.relative_to(into))
        if name in sources or (path.is_dir() and not path.is_symlink()):
            continue
        module = path.parent.parent / f"{path.name.partition('.')[0]}.py"
        if path.parent.name != "__pycache__" or str(module.relative_to(into)) not in sources:
            path.unlink()


def _looks(path: Path) -> tuple[int, int, int] | None:
    try:
        seen = path.lstat()
    except FileNotFoundError:
        return None
    return seen.st_mode, seen.st_size, seen.st_mtime_ns
