"""inside/identity.c, and the id maps of outside/start.c: who the command is."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from sandboxer.model import op as ops
from sandboxer.model.op import U32, U64, Op, Text, TextList, U32List
from tests.launcher.plans import (
    LAUNCHER,
    NEWNET,
    NEWPID,
    NEWUSER,
    NEWUTS,
    ORDINARY,
    Ended,
    boxed,
    launch,
    plan,
    run_boxed,
    run_ordinary,
    shell,
)

SHOW_IDS = shell("id -u; id -g; id -G; grep -E '^(Cap|NoNewPrivs)' /proc/self/status")
SHOW_CAPS = ("/bin/grep", "-E", "^(Cap|NoNew)", "/proc/self/status")
ALL_CAPS = (1 << 41) - 1
LAST = U32(40)
SETPCAP, NET_BIND, SETGID, SETUID, CHOWN = 8, 10, 6, 7, 0


def caps_of(ended: Ended) -> dict[str, int]:
    lines = [line.split() for line in ended.out.splitlines() if line.startswith("Cap")]
    return {name.rstrip(":"): int(value, 16) for name, value in lines}


def plain(inside: list[Op], argv: tuple[str, ...], *, before: tuple[Op, ...] = (), flags: int = 0) -> Ended:
    return launch(plan([ops.Start(U64(flags)), *before], inside, argv))


def test_write_own_maps_maps_one_id() -> None:
    maps = ops.WriteOwnMaps(Text("1000 0 1"), Text("1001 0 1"), Text("deny"))
    ended = plain([maps], shell("id -u; id -g; cat /proc/self/setgroups"), flags=NEWUSER)
    assert ended.out.split() == ["1000", "1001", "deny"]


def test_write_own_maps_with_a_wrong_map_is_refused() -> None:
    maps = ops.WriteOwnMaps(Text("nonsense"), Text("0 0 1"), Text(""))
    assert plain([maps], ("/bin/true",), flags=NEWUSER).record["fail_errno"] == errno.EINVAL


def test_ordinary_user_maps_own_id_only() -> None:
    assert run_ordinary([], shell("id -u")).out == "1000\n"
    maps = ops.WriteOwnMaps(Text("1000 0 1"), Text("1000 0 1"), Text("deny"))
    ended = launch(plan([ops.Start(U64(NEWUSER))], [maps]), prefix=ORDINARY)
    assert (ended.status, ended.record["fail_op"], ended.record["fail_errno"]) == (125, 25, errno.EPERM)


def test_write_child_maps_maps_a_range_from_outside() -> None:
    maps = ops.WriteChildMaps(Text("0 100000 65536"), Text("0 200000 65536"), Text(""))
    inside: list[Op] = [ops.AwaitOutside(), ops.SetIds(U32(5), U32(6), U32List((7, 8)), U32(1))]
    ended = plain(inside, shell("id -u; id -g; id -G; cat /proc/self/uid_map"), before=(ops.AwaitInside(), maps), flags=NEWUSER)
    assert ended.out.split() == ["5", "6", "6", "7", "8", "0", "100000", "65536"]


MAKE_EACH = shell("for kind in user net uts pid; do unshare --$kind true 2> /dev/null && echo $kind; done; true")
OWN_USERS: list[Op] = [ops.Unshare(U64(NEWUSER)), ops.WriteOwnMaps(Text("0 0 1"), Text("0 0 1"), Text("deny"))]


@pytest.mark.parametrize(("flags", "left"), [(NEWUSER, "net uts pid"), (NEWNET | NEWUTS, "user pid"), (0, "user net uts pid")])
def test_bar_namespaces_leaves_none_of_these_kinds_to_be_made(flags: int, left: str) -> None:
    before = Path("/proc/sys/user/max_user_namespaces").read_text()
    assert plain([*OWN_USERS, ops.BarNamespaces(U64(flags))], MAKE_EACH).out.split() == left.split()
    assert Path("/proc/sys/user/max_user_namespaces").read_text() == before


def test_bar_namespaces_holds_where_the_child_is_started_in_its_user_namespace() -> None:
    maps = ops.WriteOwnMaps(Text("0 0 1"), Text("0 0 1"), Text("deny"))
    assert plain([maps, ops.BarNamespaces(U64(NEWUSER))], MAKE_EACH, flags=NEWUSER).out.split() == ["net", "uts", "pid"]


@pytest.mark.parametrize("inside", [[], [ops.Unshare(U64(NEWUTS))]], ids=["none", "another kind"])
def test_bar_namespaces_outside_of_an_own_user_namespace_changes_nothing(inside: list[Op]) -> None:
    """The number would be that of the host."""
    before = Path("/proc/sys/user/max_net_namespaces").read_text()
    ended = plain([*inside, ops.BarNamespaces(U64(NEWNET))], ("/bin/true",))
    assert (ended.status, ended.record["fail_op"], ended.record["fail_errno"]) == (125, 82, errno.EPERM)
    assert Path("/proc/sys/user/max_net_namespaces").read_text() == before


def test_bar_namespaces_of_an_unknown_kind_is_refused() -> None:
    assert plain([*OWN_USERS, ops.BarNamespaces(U64(NEWUSER | 1))], ("/bin/true",)).record["fail_errno"] == errno.EINVAL


def test_set_ids_without_groups_keeps_them() -> None:
    inside: list[Op] = [
        ops.SetIds(U32(0), U32(0), U32List((7, 8)), U32(1)),
        ops.SetIds(U32(5), U32(6), U32List(()), U32(0)),
    ]
    assert plain(inside, shell("id -u; id -G")).out.split() == ["5", "6", "7", "8"]


def test_set_ids_drops_all_groups() -> None:
    inside: list[Op] = [ops.SetIds(U32(0), U32(0), U32List((7,)), U32(1)), ops.SetIds(U32(5), U32(6), U32List(()), U32(1))]
    assert plain(inside, shell("id -G")).out.split() == ["6"]


@pytest.mark.parametrize("ids", [(0xFFFFFFFF, 0), (0, 0xFFFFFFFF)])
def test_set_ids_to_minus_one_is_refused(ids: tuple[int, int]) -> None:
    """-1 means "leave as it is" to setresuid: the job would stay root."""
    inside = [ops.SetIds(U32(ids[0]), U32(ids[1]), U32List(()), U32(1))]
    assert plain([*inside], ("/bin/true",)).record["fail_errno"] == errno.EINVAL


def test_set_ids_as_ordinary_user_is_refused() -> None:
    inside = [ops.SetIds(U32(0), U32(0), U32List(()), U32(0))]
    ended = launch(plan([ops.Start(U64(0))], inside), prefix=ORDINARY)
    assert ended.record["fail_errno"] == errno.EPERM


def test_set_dumpable_gives_proc_files_to_the_process() -> None:
    """After a change of ids /proc/self is root's, and a user namespace of its own could not be mapped."""
    become = ops.SetIds(U32(54321), U32(54321), U32List(()), U32(1))
    unshare = ops.Unshare(U64(NEWUSER))
    maps = ops.WriteOwnMaps(Text("1000 54321 1"), Text("1000 54321 1"), Text("deny"))
    without = plain([become, unshare, maps], shell("id -u"))
    assert (without.status, without.record["fail_errno"]) == (125, errno.EACCES)
    assert plain([become, ops.SetDumpable(U32(1)), unshare, maps], shell("id -u")).out == "1000\n"


def test_set_dumpable_to_an_unknown_value_is_refused() -> None:
    assert plain([ops.SetDumpable(U32(7))], ("/bin/true",)).record["fail_errno"] == errno.EINVAL


def test_drop_bounding_keeps_what_it_is_told() -> None:
    before = caps_of(plain([], SHOW_CAPS))["CapBnd"]
    keep = 1 << NET_BIND | 1 << CHOWN
    assert caps_of(plain([ops.DropBounding(U64(keep), LAST)], SHOW_CAPS))["CapBnd"] == before & keep
    assert caps_of(plain([ops.DropBounding(U64(0), LAST)], SHOW_CAPS))["CapBnd"] == 0


def test_drop_bounding_of_an_unknown_capability_is_refused() -> None:
    assert plain([ops.DropBounding(U64(0), U32(63))], ("/bin/true",)).record["fail_errno"] == errno.EINVAL
    assert plain([ops.DropBounding(U64(0), U32(64))], ("/bin/true",)).record["fail_errno"] == errno.EINVAL


def test_set_capabilities_drops_all() -> None:
    """noroot, or execve would give root everything back."""
    inside: list[Op] = [ops.SetSecurebits(U32(0x3)), ops.SetCapabilities(U64(0), U64(0), U64(0))]
    caps = caps_of(plain(inside, SHOW_CAPS))
    assert (caps["CapEff"], caps["CapPrm"], caps["CapInh"]) == (0, 0, 0)


def test_set_capabilities_without_noroot_come_back_for_root() -> None:
    assert caps_of(plain([ops.SetCapabilities(U64(0), U64(0), U64(0))], SHOW_CAPS))["CapEff"] != 0


def test_set_capabilities_writes_high_bits() -> None:
    high = 1 << 40 | 1 << 33
    inside: list[Op] = [
        ops.SetSecurebits(U32(0x3)),
        ops.SetCapabilities(U64(high), U64(high), U64(high)),
        ops.SetAmbient(U64(high)),
    ]
    caps = caps_of(plain(inside, SHOW_CAPS))
    assert (caps["CapEff"], caps["CapPrm"], caps["CapInh"], caps["CapAmb"]) == (high,) * 4


def test_set_ambient_reaches_the_command_of_another_uid() -> None:
    mask = 1 << NET_BIND
    inside: list[Op] = [
        ops.SetSecurebits(U32(0x4)),
        ops.SetIds(U32(54321), U32(54321), U32List(()), U32(1)),
        ops.SetCapabilities(U64(mask), U64(mask), U64(mask)),
        ops.SetAmbient(U64(mask)),
    ]
    assert caps_of(plain(inside, SHOW_CAPS))["CapEff"] == mask
    inside[-1] = ops.SetAmbient(U64(0))
    assert caps_of(plain(inside, SHOW_CAPS))["CapEff"] == 0


def test_set_ambient_of_what_is_not_permitted_is_refused() -> None:
    inside: list[Op] = [ops.SetCapabilities(U64(0), U64(0), U64(0)), ops.SetAmbient(U64(1))]
    assert plain(inside, ("/bin/true",)).record["fail_errno"] == errno.EPERM


def test_set_securebits_are_locked() -> None:
    inside: list[Op] = [ops.SetSecurebits(U32(0x2F)), ops.SetSecurebits(U32(0))]
    assert plain(inside[:1], ("/bin/true",)).status == 0
    assert plain(inside, ("/bin/true",)).record["fail_errno"] == errno.EPERM


def test_set_no_new_privs_shows() -> None:
    assert "NoNewPrivs:\t1" in plain([ops.SetNoNewPrivs()], SHOW_CAPS).out
    assert "NoNewPrivs:\t0" in plain([], SHOW_CAPS).out


def test_late_identity_leaves_no_root_behind() -> None:
    """The privileged scheme: mounts as root, then an unprivileged id, then a user namespace around it."""
    late: list[Op] = [
        ops.SetIds(U32(65534), U32(65534), U32List(()), U32(1)),
        ops.SetDumpable(U32(1)),
        ops.Unshare(U64(NEWUSER)),
        ops.WriteOwnMaps(Text("1000 65534 1"), Text("1000 65534 1"), Text("deny")),
        ops.SetParentDeathSignal(U32(9)),
        ops.DropBounding(U64(0), LAST),
        ops.SetCapabilities(U64(0), U64(0), U64(0)),
    ]
    before, inside = boxed()
    inside += [ops.PivotRoot(), *late, ops.SetNoNewPrivs(), ops.BecomeInit()]
    ended = launch(plan(before, inside, SHOW_IDS))
    assert ended.out.split()[:2] == ["1000", "1000"]
    assert set(caps_of(ended).values()) == {0}


@pytest.fixture
def subordinate_ids() -> str:
    """A user with a range in /etc/subuid and /etc/subgid, or none where the machine has none."""
    return shutil.which("newuidmap") or ""


def test_run_map_helper_passes_pid_and_arguments(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    helper = tmp_path / "helper"
    lines = ("#!/bin/sh", f"cd {tmp_path}", 'echo "$1 $2 $3" > said', "env > env", "readlink /proc/$1/exe >> said")
    helper.write_text("\n".join(lines))
    helper.chmod(0o755)
    run = ops.RunMapHelper(Text(str(helper)), TextList(("0", "100000")))
    ended = plain([ops.AwaitOutside()], shell("echo $$"), before=(ops.AwaitInside(), run))
    said = (tmp_path / "said").read_text().split()
    assert (ended.status, said[0], said[1:3]) == (0, ended.out.strip(), ["0", "100000"])
    assert said[3] == str(LAUNCHER)
    assert {line.split("=")[0] for line in (tmp_path / "env").read_text().split()} <= {"PWD", "OLDPWD", "SHLVL", "_"}


@pytest.mark.parametrize("program", ["/bin/false", "/nonexistent"])
def test_run_map_helper_that_fails_refuses_the_start(program: str) -> None:
    run = ops.RunMapHelper(Text(program), TextList(()))
    ended = plain([ops.AwaitOutside()], shell("echo ran"), before=(ops.AwaitInside(), run))
    assert (ended.status, ended.out) == (125, "")
    assert (ended.record["fail_list"], ended.record["fail_op"], ended.record["fail_errno"]) == (1, 6, errno.ECHILD)


def test_run_map_helper_with_too_many_arguments_is_refused() -> None:
    run = ops.RunMapHelper(Text("/bin/true"), TextList(("x",) * 2000))
    ended = plain([ops.AwaitOutside()], shell("echo ran"), before=(ops.AwaitInside(), run))
    assert ended.record["fail_errno"] == errno.E2BIG


def test_await_inside_notices_a_child_that_fails_first() -> None:
    inside: list[Op] = [ops.SetWorkingDirectory(Text("/nonexistent")), ops.AwaitOutside()]
    ended = plain(inside, ("/bin/true",), before=(ops.AwaitInside(),))
    assert (ended.record["fail_list"], ended.record["fail_op"], ended.record["fail_errno"]) == (2, 45, errno.ENOENT)


def test_environment_of_the_launcher_is_not_in_proc(tmp_path: Path) -> None:
    os.environ["SANDBOXER_TEST_SECRET"] = "hunter2"
    try:
        ended = run_boxed([], shell("tr '\\0' '\\n' < /proc/1/environ; true"))
    finally:
        del os.environ["SANDBOXER_TEST_SECRET"]
    assert "hunter2" not in ended.out
    assert ended.status == 0


def test_pid_one_cannot_be_traced_or_read_by_the_job() -> None:
    """Pid 1 has the job's ids and is this program; the job has no say over it."""
    probe = shell("cat /proc/1/maps | wc -l; ls -l /proc/1/fd | wc -l; id -u")
    ended = run_ordinary([], probe)
    assert ended.out.split() == ["0", "0", "1000"] or ended.out.split() == ["0", "1", "1000"]


def test_capabilities_of_pid_one_are_those_of_the_plan() -> None:
    drop: list[Op] = [ops.DropBounding(U64(0), LAST), ops.SetCapabilities(U64(0), U64(0), U64(0))]
    before, inside = boxed()
    ended = launch(plan(before, [*inside, ops.PivotRoot(), *drop, ops.BecomeInit()], ("/bin/grep", "^Cap", "/proc/1/status")))
    caps = caps_of(ended)
    assert (caps["CapEff"], caps["CapPrm"], caps["CapBnd"]) == (0, 0, 0)


def test_newuidmap_maps_a_range_for_an_ordinary_user(tmp_path: Path, subordinate_ids: str) -> None:
    """newuidmap reads /etc/subuid: a mount namespace of the test's own gives it one that names this uid."""
    assert subordinate_ids, "install uidmap"
    (tmp_path / "subid").write_text("54321:100000:65536\n")
    helpers: tuple[Op, ...] = (
        ops.AwaitInside(),
        ops.RunMapHelper(Text("/usr/bin/newuidmap"), TextList(("1000", "54321", "1", "0", "100000", "1000"))),
        ops.RunMapHelper(Text("/usr/bin/newgidmap"), TextList(("1000", "54321", "1", "0", "100000", "1000"))),
    )
    inside: list[Op] = [ops.AwaitOutside(), ops.SetIds(U32(3), U32(4), U32List((5,)), U32(1))]
    parts = plan([ops.Start(U64(NEWUSER | NEWPID)), *helpers], inside, shell("id -u; id -G"))
    (tmp_path / "plan").write_bytes(parts.bytes())
    for path in (tmp_path, *tmp_path.parents):
        if path != Path("/tmp") and path.is_relative_to("/tmp"):
            path.chmod(0o755)
    script = (
        f"set -e; cd {tmp_path}; touch /etc/subuid /etc/subgid; cp /etc/passwd .; echo boxer:x:54321:54321::/:/bin/sh >> passwd\n"
        "mount --bind subid /etc/subuid; mount --bind subid /etc/subgid; mount --bind passwd /etc/passwd\n"
        f"exec {' '.join(ORDINARY)} {LAUNCHER} --plan plan"
    )
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["3", "4", "5"], done.stderr
