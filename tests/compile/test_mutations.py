"""Damaged profiles: whatever happens to the bytes of a file, it is loaded or refused, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandboxer.compile.load import load
from sandboxer.compile.resolve import resolve
from sandboxer.compile.schema import vocabulary
from sandboxer.compile.search import Caller, Origin, Root, SearchPaths, shipped_directory
from sandboxer.controls import ROOMS
from sandboxer.errors import ProfileError

WORDS = vocabulary(ROOMS)
CALLER = Caller("/home/joe/project", "/home/joe", "joe", 1000, 1000)
FULL = b"""\
kind: profile
name: full
description: everything at once
extends: [python]
policies: [network/loopback]
params:
  memory: {type: bytes, default: 1G, min: 1M, max: 8G}
  place: {type: path, default: "${cwd}/x"}
restrict:
  - network/none
  - {limits: {wall: 10m}, seccomp: {deny: [ptrace]}, filesystem: {read: [/usr, /etc]}}
override:
  - {path: limits.wall, value: 2h, reason: "slow", expires: 2999-01-01}
  - {path: environment.set, remove: [PYTHONUNBUFFERED], reason: "noise"}
options: {read: [/], write: ["${cwd}"], env: ["*"], timeout: 1h, network: host, fds: [3]}
namespaces: {pid: new, enforce: required}
ids: {user: 1000, name: joe}
filesystem:
  read: ["/data?", {path: "~/x", optional: true}]
  tmpfs: [{path: /work, size: "${memory}", mode: "0755"}]
  working_directory: ${place}
devices: {dev: minimal}
capabilities: {keep: []}
seccomp:
  allow: ["@base", {socket: {family: {in: [AF_UNIX]}}}, ptrace]
  errno: {ENOSYS: [clone3]}
limits: {open_files: 64, core: 0, wall: 1h}
network: {mode: none}
process: {init: true, umask: "022", hostname: box, fds: [7]}
environment: {pass: [LANG, "LC_*"], set: {A: b}, deny: [SECRET]}
"""
SHIPPED = sorted(Path(shipped_directory()).glob("p*/**/*.yaml"))
PIECES = (
    *(
        b"",
        b" ",
        b"\n",
        b"\t",
        b":",
        b"- ",
        b"[",
        b"]",
        b"{",
        b"}",
        b"'",
        b'"',
        b"#",
        b"&a ",
        b"*a",
        b"!x ",
        b"|",
        b"\0",
        b"\xff",
        b"\\",
    ),
    *(
        b"${",
        b"}",
        b"${cwd}",
        b"$${",
        b"~",
        b"no",
        b"022",
        b"-1",
        b"1e9",
        b"99999999999999999999",
        b"\xe2\x80\xae",
        b"---\n",
        b"@base",
    ),
    *(
        b"[[[[",
        b"null",
        b"true",
        b"/",
        b"..",
        b"limits",
        b"seccomp",
        b"value",
        b"remove",
        b"{}",
        b"[]",
        b"''",
        b"unlimited",
        b"2G",
    ),
)
MUTATIONS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 12), st.one_of(st.sampled_from(PIECES), st.binary(max_size=4))),
    min_size=1,
    max_size=4,
)


def damaged(data: bytes, mutations: list[tuple[float, int, bytes]]) -> bytes:
    for at, length, piece in mutations:
        start = int(at * len(data))
        data = data[:start] + piece + data[start + length :]
    return data


def test_full_profile_is_right_before_it_is_damaged(tmp_path: Path) -> None:
    assert resolved(tmp_path, FULL) is None


def resolved(directory: Path, data: bytes) -> ProfileError | None:
    """The error that a file gives as a profile that is asked for by name, if any."""
    profiles = directory / "profiles"
    profiles.mkdir(exist_ok=True)
    (profiles / "full.yaml").write_bytes(data)
    roots = (Root(str(directory), Origin.USER), Root(shipped_directory(), Origin.SHIPPED))
    try:
        resolve("full", caller=CALLER, paths=SearchPaths(roots, CALLER.cwd, CALLER.uid, CALLER.gid))
    except ProfileError as error:
        return error
    return None


def loaded(data: bytes, name: str = "") -> ProfileError | None:
    """The error that a file gives when it is loaded, if any."""
    try:
        load(data, file="full.yaml", words=WORDS, name=name)
    except ProfileError as error:
        return error
    return None


def is_told_well(error: ProfileError | None) -> bool:
    """Every problem says what and where, and nothing of the file reaches a terminal as it is."""
    problems = error.problems if error else ()
    is_placed = all(problem.what and problem.where is not None for problem in problems)
    return is_placed and (error is None or bool(problems)) and str(error).translate({9: None, 10: None}).isprintable()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(mutations=MUTATIONS)
def test_damaged_profile_is_resolved_or_refused(tmp_path: Path, mutations: list[tuple[float, int, bytes]]) -> None:
    assert is_told_well(resolved(tmp_path, damaged(FULL, mutations)))


@settings(max_examples=400, deadline=None)
@given(mutations=MUTATIONS)
def test_damaged_file_is_loaded_or_refused(mutations: list[tuple[float, int, bytes]]) -> None:
    assert is_told_well(loaded(damaged(FULL, mutations), "full"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_shipped_file_cut_anywhere_is_loaded_or_refused(path: Path) -> None:
    data = path.read_bytes()
    for end in range(0, len(data), max(len(data) // 12, 1)):
        assert is_told_well(loaded(data[:end]))
