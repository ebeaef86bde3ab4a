"""Packages of the public index, for tests that run real programs: pip fetches them inside `package-install`, pinned by hash.

Nothing of what is fetched runs outside of a box, not even what pip runs of a source package to learn its name.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.live.boxes import Box

PYTHON = ".venv/bin/python"
SETTINGS = (
    "PIP_",
    "SSL_CERT_",
    "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
"""How variables begin by which the machine says where its index is. The profile lets in only those that it names."""


def index_settings() -> dict[str, str]:
    """The variables of the tests' own environment that say where the index is."""
    return {name: value for name, value in os.environ.items() if name.startswith(SETTINGS)}


def install(box: Box, requirements: Sequence[str] = ()) -> None:
    """Make .venv/ in the place of the box. requirements: `NAME==VERSION --hash=sha256:...`, all that are needed."""
    run(box, "python3", "-m", "venv", ".venv")
    if requirements:
        box.write("requirements.txt", "\n".join(requirements))
        run(box, PYTHON, "-m", "pip", "install", "-q", "--require-hashes", "--only-binary=:all:", "-r", "requirements.txt")


def fetch_source(box: Box, requirement: str) -> Path:
    """Fetch the source package of `NAME==VERSION --hash=sha256:...` into the box's place; the archive."""
    install(box)
    box.write("source.txt", requirement)
    wanted = ("--require-hashes", "--no-deps", "--no-binary=:all:", "-r", "source.txt")
    run(box, PYTHON, "-m", "pip", "download", "-q", *wanted)
    (archive,) = box.place.glob("*.tar.gz")
    return archive


def unpack(box: Box, archive: Path, *, below: str = "") -> None:
    """Unpack an archive in the box's place, without its first directory and those of `below`."""
    copy = box.write("archive.tar.gz")
    shutil.copyfile(archive, copy)
    root = archive.name.removesuffix(".tar.gz")
    only = f"{root}/{below}".rstrip("/")
    box.output("tar", "xzf", copy, f"--strip-components={len(Path(only).parts)}", only, profile="python")
    copy.unlink()


def run(box: Box, *command: str) -> str:
    """What a command prints that succeeds under `package-install`, with the machine's settings of the index."""
    done = box.run(*command, profile="package-install", env=index_settings())
    assert done.returncode == 0, f"status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout
