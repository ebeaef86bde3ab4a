"""A rehearsal tells of the first step that fails, and leaves this process as it is."""

from __future__ import annotations

import os
import resource
import signal
import struct
import subprocess
import sys
import textwrap

import pytest

from sandboxer.kernel.in_place.confinement import APPLY, Confinement
from sandboxer.kernel.in_place.rehearsal import Fault, rehearse
from sandboxer.model.op import (
    U32,
    U64,
    Blob,
    LandlockCreate,
    LandlockPath,
    LandlockRestrict,
    LoadFilter,
    Op,
    SetNoNewPrivs,
    SetRlimit,
    Text,
)
from tests.live.needs import needs

KILL = Blob(struct.pack("=HBBI", 0x06, 0, 0, 0x80000000))
LIMIT = SetRlimit(U32(resource.RLIMIT_NOFILE), U64(20), U64(20))


def tried(*ops: Op) -> Fault | None:
    with Confinement(ops) as confinement:
        confinement.prepare()
        return rehearse(confinement)


def test_steps_that_can_be_done_leave_this_process_as_it_is() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert tried(LIMIT, SetNoNewPrivs()) is None
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


def test_first_step_that_fails_is_named_with_its_errno() -> None:
    empty = LoadFilter(U32(0), Blob(b""))
    assert tried(LIMIT, SetNoNewPrivs(), empty, LIMIT) == Fault(2, 22)


def test_filter_that_lets_nothing_be_done_any_more_is_no_fault() -> None:
    """Not even the end of the process: all was done by then."""
    assert tried(SetNoNewPrivs(), LoadFilter(U32(0), KILL)) is None


def test_child_that_is_killed_in_a_step_has_failed_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(APPLY, SetNoNewPrivs, lambda op: os.kill(os.getpid(), signal.SIGKILL))
    assert tried(LIMIT, SetNoNewPrivs()) == Fault(1, 4)


@needs("landlock>=1")
def test_path_that_is_a_link_is_not_followed(tmp_path: os.PathLike[str]) -> None:
    os.mkdir(f"{tmp_path}/real")
    os.symlink("real", f"{tmp_path}/link")

    def prepare(path: str) -> int:
        create = LandlockCreate(U32(0), U64(4), U64(0), U64(0), U64(0), U64(0))
        with Confinement(
            [create, LandlockPath(U32(0), Text(f"{tmp_path}/{path}"), U64(4)), LandlockRestrict(U32(0), U32(0))]
        ) as one:
            try:
                one.prepare()
            except OSError as error:
                return error.errno or 0
            return 0

    assert [prepare(path) for path in ("real", "link", "link/x", "missing")] == [0, 40, 20, 2]


def test_prepared_rulesets_are_closed() -> None:
    before = os.listdir("/proc/self/fd")
    tried(LIMIT)
    assert os.listdir("/proc/self/fd") == before


def test_caller_that_ignores_its_children_is_answered_too() -> None:
    code = """\
    import signal
    from sandboxer.kernel.in_place.confinement import Confinement
    from sandboxer.kernel.in_place.rehearsal import rehearse
    from sandboxer.model.op import SetNoNewPrivs
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with Confinement([SetNoNewPrivs()]) as one:
        one.prepare()
        print(rehearse(one))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("None\n", "")
