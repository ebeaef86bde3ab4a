"""A delegated box: the v2 tree is the job's from its own group on, and what holds it lies above."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.live.boxes import Box
from tests.live.leaks import adopt_orphans, read_traces, wait_until_gone
from tests.live.test_shown_groups import (
    test_box_sees_its_own_groups_with_its_own_limits_and_processes,
    test_nothing_there_can_be_written_made_or_given_away,
)
from tests.live.users import Installation, Person
from tests.vm.suite.conftest import TREE

__all__ = [
    "test_box_sees_its_own_groups_with_its_own_limits_and_processes", "test_nothing_there_can_be_written_made_or_given_away",
]  # fmt: skip

PROFILE = "filesystem: {cgroup: delegate}\nlimits: {memory: 64M, processes: 20}"
HEAD = """
top = '/sys/fs/cgroup'
def put(name, text):
    try:
        with open(f'{top}/{name}', 'w') as file:
            file.write(text)
    except OSError as error:
        return errno.errorcode[error.errno]
    return 'ok'
def get(name):
    with open(f'{top}/{name}') as file:
        return file.read()
"""


@pytest.fixture
def box(caller: Person, installation: Installation) -> Iterator[Box]:
    """A box of whoever may make groups; nothing of it stays, whatever the job made."""
    adopt_orphans()
    before = read_traces()
    yield Box(caller, installation, caller.directory(f"work-{os.urandom(4).hex()}"))
    assert wait_until_gone(before) == []
    assert [path for path in TREE.glob("*/sandboxer/*") if path.is_dir()] == []


def test_job_makes_groups_moves_its_processes_and_limits_them(box: Box) -> None:
    box.profile(PROFILE)
    seen = box.look(HEAD + """
os.makedirs(f'{top}/leaf/deep')
seen['moves'] = [put('leaf/cgroup.procs', pid) for pid in get('cgroup.procs').split()]
seen['passes'] = put('cgroup.subtree_control', '+memory +pids')
os.mkdir(f'{top}/small')
seen['limits'] = put('small/pids.max', '5')
seen['read'] = get('small/pids.max')
seen['own'] = open('/proc/self/cgroup').read()
""")  # fmt: skip
    assert set(seen["moves"]) == {"ok"}
    assert (seen["passes"], seen["limits"], seen["read"], seen["own"]) == ("ok", "ok", "5\n", "0::/leaf\n")


def test_job_cannot_raise_its_limits_or_leave(box: Box) -> None:
    """Its root is its own group; the limits are in the one above, of which there is no name."""
    box.profile(PROFILE)
    seen = box.look(HEAD + """
seen['max'] = [put('memory.max', 'max'), put('pids.max', 'max')]
seen['procs'] = get('cgroup.procs').split()
seen['own'] = sorted(name for name in os.listdir('/proc') if name.isdigit())
seen['above'] = [os.path.realpath(f'{top}/..'), sorted(os.listdir(f'{top}/..'))]
seen['deep'] = 'ok'
try:
    os.makedirs(f'{top}/' + '/'.join('x' * 12))
except OSError as error:
    seen['deep'] = errno.errorcode[error.errno]
made = 0
try:
    for made in range(1000):
        os.mkdir(f'{top}/y{made}')
except OSError as error:
    seen['many'] = [made < 256, errno.errorcode[error.errno]]
children = []
try:
    for _ in range(40):
        pid = os.fork()
        if pid == 0:
            time.sleep(100)
        children.append(pid)
except OSError as error:
    seen['forks'] = errno.errorcode[error.errno]
for pid in children:
    os.kill(pid, 9)
""")  # fmt: skip
    assert seen["procs"] == seen["own"]
    assert seen["above"] == ["/sys/fs", ["cgroup"]]
    assert (seen["deep"], seen["many"], seen["forks"]) == ("EAGAIN", [True, "EAGAIN"], "EAGAIN")


def test_memory_is_bounded_above_whatever_the_job_writes(box: Box) -> None:
    box.profile(PROFILE)
    done, report = box.told(*box.python(HEAD + "put('memory.max', 'max'); grown = bytearray(200 << 20)"))
    assert (done.returncode, report["reason"]) == (137, "oom")
    assert box.run(*box.python("grown = bytearray(20 << 20)")).returncode == 0


def test_box_that_freezes_itself_is_ended_by_its_clock(box: Box) -> None:
    box.profile("filesystem: {cgroup: delegate}\nlimits: {wall: 5s, grace: 0s}")
    done, report = box.told(*box.python(HEAD + "put('cgroup.freeze', '1'); time.sleep(1000)"))
    assert (done.returncode, report["reason"]) == (124, "wall_timeout")


def test_delegation_without_a_pid_namespace_is_refused(box: Box) -> None:
    box.profile("filesystem: {cgroup: delegate}\nnamespaces: {pid: host}\nprocess: {init: false}")
    assert "only to a box with a pid namespace of its own" in box.refusal()
