"""inside/process.c, inside/slots.c and inside/command.c: what surrounds the command, and execve."""

from __future__ import annotations

import errno
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from sandboxer.launcher.record import Outcome
from sandboxer.model import op as ops
from sandboxer.model.op import U32, U64, Blob, Op, Text, U32List
from tests.launcher.plans import (
    NEWNET,
    NEWNS,
    NEWPID,
    NEWTIME,
    NEWUTS,
    Ended,
    boxed,
    boxed_end,
    launch,
    plan,
    run_boxed,
    run_ordinary,
    shell,
)

NOFILE, CPU, FSIZE, CORE, NPROC, AS = 7, 0, 1, 4, 6, 9
NOT_FOUND, NOT_EXECUTABLE = Outcome.NOT_FOUND, Outcome.NOT_EXECUTABLE
SETUP_FAILED, SIGNALLED = Outcome.SETUP_FAILED, Outcome.SIGNALLED
LIST_FDS = ("/bin/ls", "/proc/self/fd")


SYSCALLS = {"x86_64": {"keyctl": 250, "add_key": 248}, "aarch64": {"keyctl": 219, "add_key": 217}}


def plain(inside: list[Op], argv: tuple[str, ...], *, flags: int = 0, **options: object) -> Ended:
    return launch(plan([ops.Start(U64(flags))], inside, argv), **options)  # type: ignore[arg-type]


def test_close_fds_leaves_nothing_but_the_standard_ones(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    leaky = plain([], LIST_FDS, fds=(reader, writer)).out.split()
    clean = plain([ops.CloseFds(U32List(()))], LIST_FDS, fds=(reader, writer)).out.split()
    os.close(reader)
    os.close(writer)
    assert {str(reader), str(writer)} <= set(leaky)
    assert clean == ["0", "1", "2", "3"]


def test_close_fds_keeps_what_it_is_told() -> None:
    reader, writer = os.pipe()
    script = shell(f"echo kept > /proc/self/fd/{writer}; ls /proc/self/fd")
    ended = plain([ops.CloseFds(U32List((writer,)))], script, fds=(reader, writer))
    os.close(writer)
    with os.fdopen(reader) as stream:
        assert stream.read() == "kept\n"
    assert str(reader) not in ended.out.split()


def test_close_fds_refuses_to_keep_what_is_not_open() -> None:
    """Its number could become that of a descriptor of ours."""
    for number in (3, 17, 600):
        ended = plain([ops.CloseFds(U32List((number,)))], shell("echo ran"))
        assert (ended.out, ended.record["fail_op"], ended.record["fail_errno"]) == ("", 21, errno.EBADF)


def test_close_fds_refuses_to_keep_a_descriptor_of_the_launcher() -> None:
    parts = plan([ops.Start(U64(0))], [ops.CloseFds(U32List(tuple(range(3, 12))))], shell("echo ran"))
    assert launch(parts).out == ""


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_PATH])
def test_close_fds_refuses_to_keep_a_directory(tmp_path: Path, flags: int) -> None:
    """From a directory of the host, `..` leads to everything else there."""
    directory = os.open(tmp_path, flags | os.O_DIRECTORY)
    ended = plain([ops.CloseFds(U32List((directory,)))], shell("echo ran"), fds=(directory,))
    os.close(directory)
    assert (ended.out, ended.record["fail_op"], ended.record["fail_errno"]) == ("", 21, errno.EISDIR)


@pytest.mark.parametrize("number", [0, 2])
def test_close_fds_refuses_a_directory_as_a_standard_one(number: int) -> None:
    prefix = ("/bin/sh", "-c", f'exec "$0" "$@" {number}</')
    ended = plain([ops.CloseFds(U32List(()))], shell("echo ran"), prefix=prefix)
    assert (ended.out, ended.record["fail_op"], ended.record["fail_errno"]) == ("", 21, errno.EISDIR)


def test_standard_fds_that_are_closed_become_dev_null(tmp_path: Path) -> None:
    ended = plain([], shell("readlink /proc/self/fd/0"), prefix=("/bin/sh", "-c", 'exec "$0" "$@" <&-'))
    assert ended.out == "/dev/null\n"


def test_pipes_of_the_streams_become_the_jobs_and_files_do_not(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("")
    look = ("/usr/bin/stat", "-L", "-c", "%u:%g", "/proc/self/fd/0", "/proc/self/fd/1")
    steps = [ops.OwnPipes(U32(4711), U32(4712))]
    prefix = ("/bin/sh", "-c", f'exec "$0" "$@" < {kept}')
    assert plain(steps, look, prefix=prefix).out == "0:0\n4711:4712\n"
    assert plain([], look, prefix=prefix).out == "0:0\n0:0\n"


def test_new_session_leaves_the_callers() -> None:
    show = shell("read -r p c s pp g sid r < /proc/$$/stat; test $p = $sid && echo leads || echo follows")
    assert plain([ops.NewSession()], show).out == "leads\n"
    assert plain([], show).out == "follows\n"


def test_new_keyring_leaves_the_callers_keys() -> None:
    """A key in the session keyring of whoever starts the launcher, and a search for it: SYS_add_key, SYS_keyctl."""
    code = "import ctypes, os, sys; call = ctypes.CDLL(None, use_errno=True).syscall\n"
    code += "call({keyctl}, 1, None); call({add_key}, b'user', b'mine', b'x', 1, -3); os.execv(sys.argv[1], sys.argv[1:])"
    numbers = {name: SYSCALLS[platform.machine()][name] for name in ("keyctl", "add_key")}
    prefix = (sys.executable, "-c", code.format(**numbers))
    look = "import ctypes; print(ctypes.CDLL(None).syscall({keyctl}, 10, -3, b'user', b'mine', 0) > 0)".format(**numbers)
    assert plain([], ("/usr/bin/python3", "-c", look), prefix=prefix).out == "True\n"
    assert plain([ops.NewKeyring()], ("/usr/bin/python3", "-c", look), prefix=prefix).out == "False\n"


def test_unshare_enters_new_namespaces() -> None:
    host = os.readlink("/proc/self/ns/uts")
    assert plain([ops.Unshare(U64(NEWUTS))], ("/bin/readlink", "/proc/self/ns/uts")).out.strip() != host
    assert plain([], ("/bin/readlink", "/proc/self/ns/uts")).out.strip() == host


@pytest.mark.parametrize("flags", [0x100, 0x80000000, NEWUTS | 1 << 40])
def test_unshare_and_start_refuse_other_flags(flags: int) -> None:
    assert plain([ops.Unshare(U64(flags))], ("/bin/true",)).record["fail_errno"] == errno.EINVAL
    ended = plain([], ("/bin/true",), flags=flags)
    assert (ended.record["fail_list"], ended.record["fail_errno"]) == (1, errno.EINVAL)


def test_join_namespace_inside_and_before() -> None:
    holder = subprocess.Popen(["unshare", "-u", "sh", "-c", "hostname joined; echo ready; cat"], stdin=-1, stdout=-1)
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        join = ops.JoinNamespace(U64(NEWUTS), Text(f"/proc/{holder.pid}/ns/uts"))
        assert plain([join], ("/bin/uname", "-n")).out == "joined\n"
        assert launch(plan([join, ops.Start(U64(0))], [], ("/bin/uname", "-n"))).out == "joined\n"
        wrong = ops.JoinNamespace(U64(NEWNET), Text(f"/proc/{holder.pid}/ns/uts"))
        assert plain([wrong], ("/bin/true",)).record["fail_errno"] == errno.EINVAL
        assert plain([ops.JoinNamespace(U64(0), Text("/proc/self/ns/uts"))], ("/bin/true",)).record["fail_errno"] == errno.EINVAL
    finally:
        holder.communicate()


def test_join_namespace_pid_before_puts_the_child_into_it() -> None:
    holder = subprocess.Popen(["unshare", "-p", "-f", "--kill-child", "sh", "-c", "echo ready; cat"], stdin=-1, stdout=-1)
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        child = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()[0]
        join = ops.JoinNamespace(U64(NEWPID), Text(f"/proc/{child}/ns/pid"))
        parts = plan([join, ops.BecomeSubreaper(), ops.Start(U64(0))], [], shell("echo $$"))
        assert 1 < int(launch(parts).out) < 100
        init = plan([join, ops.Start(U64(0))], [ops.BecomeInit()], shell("echo ran"))
        assert launch(init).record["fail_errno"] == errno.EINVAL
    finally:
        holder.kill()
        holder.communicate()


def test_set_time_offsets_shift_the_clock_of_the_command_only() -> None:
    inside: list[Op] = [ops.Unshare(U64(NEWTIME)), ops.SetTimeOffsets(Text("boottime 100000000 0\nmonotonic 100000000 0\n"))]
    before, boxed_inside = boxed()
    ended = launch(plan(before, [*boxed_inside, *inside, *boxed_end()], shell("cut -d. -f1 /proc/uptime")))
    assert int(ended.out) >= 100000000
    record = ended.record
    times = [record[name] for name in ("begin_ns", "start_ns", "exec_ns", "end_ns", "gone_ns", "done_ns")]
    assert times == sorted(times)
    assert record["done_ns"] - record["begin_ns"] < 20e9


def test_set_time_offsets_that_are_wrong_are_refused() -> None:
    inside: list[Op] = [ops.Unshare(U64(NEWTIME)), ops.SetTimeOffsets(Text("nonsense"))]
    assert plain(inside, ("/bin/true",)).record["fail_errno"] == errno.EINVAL


def test_set_host_name() -> None:
    assert plain([ops.SetHostName(Text("boxname"))], ("/bin/uname", "-n"), flags=NEWUTS).out == "boxname\n"


def test_set_host_name_that_is_too_long_is_refused() -> None:
    ended = plain([ops.SetHostName(Text("x" * 65))], ("/bin/uname", "-n"), flags=NEWUTS)
    assert ended.record["fail_errno"] == errno.EINVAL


def test_bring_up_loopback() -> None:
    script = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', 9))"
    probe = ("/usr/bin/python3", "-I", "-S", "-c", script)
    assert plain([ops.BringUpLoopback()], probe, flags=NEWNET).status == 0
    assert plain([], probe, flags=NEWNET).status == 1


def test_set_umask() -> None:
    assert plain([ops.SetUmask(U32(0o027))], shell("umask")).out == "0027\n"
    assert plain([ops.SetUmask(U32(0o1000))], shell("umask")).record["fail_errno"] == errno.EINVAL


def test_set_working_directory() -> None:
    assert plain([ops.SetWorkingDirectory(Text("/usr/bin"))], shell("pwd")).out == "/usr/bin\n"
    assert plain([ops.SetWorkingDirectory(Text("/nope"))], shell("pwd")).record["fail_errno"] == errno.ENOENT


def test_set_rlimit_holds_for_the_command() -> None:
    ended = plain([ops.SetRlimit(U32(NOFILE), U64(64), U64(128))], shell("ulimit -Sn; ulimit -Hn"))
    assert ended.out.split() == ["64", "128"]


@pytest.mark.parametrize("resource", [NOFILE, FSIZE, CORE, AS])
def test_set_rlimit_to_nothing_does_not_break_later_steps(resource: int) -> None:
    """Limits wait until all else is done: opening, forking and writing of ours do not run under them."""
    before, inside = boxed()
    soft = {NOFILE: 8, AS: 1 << 23}.get(resource, 0)
    limit = ops.SetRlimit(U32(resource), U64(soft), U64(soft))
    end: list[Op] = [limit, ops.MakeFile(Text("/f"), U32(0o644), Blob(b"x" * 9)), *boxed_end()]
    assert launch(plan(before, [*inside, *end], ("/usr/bin/stat", "-c", "%s", "/f"))).out == "9\n"


def test_set_rlimit_of_no_process_stops_forks_of_the_command_only() -> None:
    limit = ops.SetRlimit(U32(NPROC), U64(0), U64(0))
    ended = run_ordinary([limit], shell("echo alive; /bin/true"))
    assert (ended.out, ended.status != 0) == ("alive\n", True)


def test_set_rlimit_above_the_hard_limit_names_its_step() -> None:
    lower = ops.SetRlimit(U32(NOFILE), U64(300), U64(300))
    ended = plain([lower, ops.SetUmask(U32(0))], ("/bin/true",), prefix=("prlimit", "--nofile=200:200"))
    expected = (0, 43, errno.EPERM) if not can_raise_limits() else (0, 0, 0)
    assert (ended.record["fail_step"], ended.record["fail_op"], ended.record["fail_errno"]) == expected


def can_raise_limits() -> bool:
    return subprocess.run(["sh", "-c", "ulimit -n 200 && ulimit -n 300"], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(("resource", "soft", "hard"), [(16, 0, 0), (7, 9, 8)])
def test_set_rlimit_that_makes_no_sense_is_refused(resource: int, soft: int, hard: int) -> None:
    ended = plain([ops.SetRlimit(U32(resource), U64(soft), U64(hard))], ("/bin/true",))
    assert ended.record["fail_errno"] == errno.EINVAL


def candidates(*paths: str) -> Ended:
    return launch(plan([ops.Start(U64(0))], [], ("name", "-c", "echo $0"), candidates=paths))


def test_candidates_are_tried_in_order() -> None:
    assert candidates("/nope/sh", "/etc/passwd/sh", "/bin/sh", "/bin/false").out == "name\n"


def test_candidates_that_are_all_missing_are_not_found() -> None:
    ended = candidates("/nope/sh", "/etc/passwd/sh")
    assert (ended.status, ended.record["outcome"], ended.record["fail_errno"]) == (127, NOT_FOUND, errno.ENOENT)


def test_candidate_without_permission_lets_the_next_try(tmp_path: Path) -> None:
    (tmp_path / "sh").write_text("")
    assert candidates(str(tmp_path / "sh"), "/bin/sh").status == 0
    ended = candidates("/nope", str(tmp_path / "sh"), "/nope/too")
    assert (ended.status, ended.record["fail_step"], ended.record["fail_errno"]) == (126, 1, errno.EACCES)


def test_candidate_of_no_known_format_is_not_executable(tmp_path: Path) -> None:
    (tmp_path / "sh").write_text("no magic")
    (tmp_path / "sh").chmod(0o755)
    ended = candidates(str(tmp_path / "sh"), "/bin/sh")
    assert (ended.status, ended.record["outcome"], ended.record["fail_errno"]) == (126, NOT_EXECUTABLE, errno.ENOEXEC)


def test_command_gets_exactly_its_arguments_and_environment() -> None:
    argv = ("/bin/sh", "-c", 'printf "<%s>" "$@"; env', "x", "", "a b", "ü")
    ended = launch(plan([ops.Start(U64(0))], [], argv, env=("ONE=1", "TWO=")))
    assert ended.out.startswith("<><a b><ü>")
    assert {"ONE=1", "TWO="} == {line for line in ended.out.split("\n", 1)[0].split(">")[-1:] + ended.out.split("\n")[1:]
                                 if line.startswith(("ONE", "TWO"))}  # fmt: skip


def test_command_with_thousands_of_arguments() -> None:
    argv = ("/bin/sh", "-c", "echo $#", "x", *("y" for _ in range(20000)))
    assert launch(plan([ops.Start(U64(0))], [], argv)).out == "20000\n"


def test_command_has_default_signals(tmp_path: Path) -> None:
    probe = ("/bin/sed", "-En", "/^Sig(Blk|Ign|Cgt)/p", "/proc/self/status")
    masked = ("/usr/bin/python3", "-c", "import os,signal,sys; signal.signal(1, signal.SIG_IGN); "
              "signal.pthread_sigmask(0, {2, 10}); os.execv(sys.argv[1], sys.argv[1:])")  # fmt: skip
    for flags, inside in ((0, []), (NEWNS | NEWPID, [ops.BecomeInit()])):
        ended = plain([*inside], probe, flags=flags, prefix=masked)
        assert {line.split()[1] for line in ended.out.splitlines()} == {"0" * 16}


def test_op_that_fails_stops_the_list() -> None:
    ended = run_boxed([ops.SetWorkingDirectory(Text("/nope"))], shell("echo ran"))
    assert (ended.out, ended.status, ended.record["fail_list"], ended.record["fail_op"]) == ("", 125, 2, 45)


def scheduled(policy: int, niceness: int, **options: object) -> Ended:
    script = shell("nice; chrt -p $$ | head -n 1")
    return plain([ops.SetScheduling(U32(policy), U32(niceness))], script, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "niceness", "wanted"),
    [(0, 0, "0 SCHED_OTHER"), (3, 5, "5 SCHED_BATCH"), (5, 19, "19 SCHED_IDLE"), (0, 7, "7 SCHED_OTHER")],
)
def test_set_scheduling(policy: int, niceness: int, wanted: str) -> None:
    found = scheduled(policy, niceness).out.split()
    assert f"{found[0]} {found[-1]}" == wanted


def test_set_scheduling_takes_nobody_ahead_of_the_caller() -> None:
    assert scheduled(0, 3, prefix=("nice", "-n", "10")).out.split()[0] == "10"


@pytest.mark.parametrize(("policy", "niceness"), [(1, 0), (2, 0), (6, 0), (0, 20)])
def test_set_scheduling_that_makes_no_sense_is_refused(policy: int, niceness: int) -> None:
    assert scheduled(policy, niceness).record["fail_errno"] == errno.EINVAL
