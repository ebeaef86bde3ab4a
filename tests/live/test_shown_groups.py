"""/sys/fs/cgroup inside: a box sees the groups that were made for it, and nothing that it tries there changes anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.boxes import Box
from tests.live.needs import needs, this_host

LOOK = """
top = '/sys/fs/cgroup'
seen['mounts'] = [line.split()[4:6] for line in open('/proc/self/mountinfo') if 'cgroup' in line.split(' - ')[1].split()[0]]
found = [os.path.join(at, name) for at, _, names in os.walk(top) for name in names]
seen['limits'] = [open(path).read() for path in found if os.path.basename(path) in ('memory.max', 'memory.limit_in_bytes')]
seen['procs'] = sorted({line for path in found if path.endswith('cgroup.procs') for line in open(path).read().split()})
seen['own'] = sorted(name for name in os.listdir('/proc') if name.isdigit())
seen['names'] = sorted({os.path.basename(at) for at, _, _ in os.walk(top)})
"""
ATTACK = """
def attempt(act):
    try:
        act()
    except OSError as error:
        return errno.errorcode[error.errno]
    return 'ok'
def put(path, text):
    with open(path, 'w') as file:
        file.write(text)
tries = {}
for at, directories, names in os.walk('/sys/fs/cgroup'):
    for name in names:
        path = os.path.join(at, name)
        tries[path] = attempt(lambda: put(path, '0' if name in ('cgroup.procs', 'tasks') else '1'))
    if names:
        tries[at + '/made'] = attempt(lambda: os.mkdir(at + '/made'))
        tries[at + '/mode'] = attempt(lambda: os.chmod(at, 0o777))
seen['not refused'] = [(path, said) for path, said in tries.items() if said not in ('EROFS', 'EACCES', 'EPERM')]
seen['tries'] = len(tries)
"""


@pytest.fixture
def box(grouped: Box) -> Box:
    """A box of whoever may make groups."""
    return grouped


@needs("group of memory")
def test_box_sees_its_own_groups_with_its_own_limits_and_processes(box: Box) -> None:
    box.profile("filesystem: {cgroup: read}\nlimits: {memory: 64M}")
    seen = box.look(LOOK)
    assert seen["mounts"]
    assert all(point.startswith("/sys/fs/cgroup") and "ro" in options.split(",") for point, options in seen["mounts"])
    assert seen["limits"] == [f"{64 << 20}\n"]
    assert seen["procs"] == seen["own"]
    assert "sandboxer" not in seen["names"]


@needs("group of memory")
def test_nothing_there_can_be_written_made_or_given_away(box: Box) -> None:
    """Neither a limit, nor a process moved, nor a group made: by the files of every hierarchy."""
    box.profile("filesystem: {cgroup: read}\nlimits: {memory: 64M}")
    seen = box.look(ATTACK)
    assert (seen["not refused"], seen["tries"] > 10) == ([], True)


@needs("group of memory")
def test_limit_holds_where_the_groups_are_shown(box: Box) -> None:
    box.profile("filesystem: {cgroup: read}\nlimits: {memory: 64M}")
    done, report = box.told(*box.python("grown = bytearray(200 << 20)"))
    assert (done.returncode, report["reason"]) == (137, "oom")
    assert box.run(*box.python("grown = bytearray(20 << 20)")).returncode == 0


def test_box_that_does_not_ask_has_none(box: Box) -> None:
    box.profile()
    assert box.look("seen['there'] = os.path.exists('/sys/fs/cgroup')") == {"there": False}


@needs("group of memory")
def test_namespace_of_the_host_would_show_its_groups_and_is_refused(box: Box) -> None:
    box.profile("filesystem: {cgroup: read}\nnamespaces: {cgroup: host}")
    assert "/sys/fs/cgroup needs a cgroup namespace of the box's own" in box.refusal()


@needs("v1 groups")
def test_v1_cannot_be_delegated(box: Box) -> None:
    box.profile("filesystem: {cgroup: delegate}")
    assert "v1's hierarchies cannot be handed over safely" in box.refusal()


@needs("group of memory")
def test_group_of_the_host_is_as_it_was(box: Box) -> None:
    """The twin from outside: what the caller's own groups are made of stays the same."""
    tree = this_host().hierarchy_of("memory")
    assert tree is not None
    before = sorted(path.name for path in Path(tree.mount).iterdir())
    box.profile("filesystem: {cgroup: read}\nlimits: {memory: 64M}")
    box.look(ATTACK)
    assert sorted(path.name for path in Path(tree.mount).iterdir() if path.name != "sandboxer") == [
        name for name in before if name != "sandboxer"
    ]
