"""inside/landlock.c: rulesets, their rules, the standard streams, and the step into a domain."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

import pytest

from sandboxer.abi.landlock import Kind, mask_of
from sandboxer.model import op as ops
from sandboxer.model.op import U32, U64, LandlockCreate, LandlockPath, LandlockPort, LandlockRestrict, Op, Text, U32List
from tests.launcher.plans import NEWNET, NO_SLOT, ORDINARY, Ended, boxed, boxed_end, launch, plan, shell
from tests.live.needs import needs

SLOT = U32(9)
CREATE, PATH, PORT, RESTRICT = 57, 58, 59, 60
FILES = ("execute", "read_file", "read_dir", "write_file", "make_reg", "truncate")


def files(*names: str) -> U64:
    return U64(mask_of(names, Kind.FILESYSTEM))


def create(*names: str, network: int = 0, scoped: int = 0, readable: int = 0, writable: int = 0) -> LandlockCreate:
    return LandlockCreate(SLOT, files(*names), U64(network), U64(scoped), U64(readable), U64(writable))


def at(path: str, *names: str) -> LandlockPath:
    return LandlockPath(SLOT, Text(path), files(*names))


def domain(*rules: Op, handled: Sequence[str] = FILES, slot: U32 = SLOT) -> list[Op]:
    """A whole domain in which the runtime of the small box can be executed."""
    return [create(*handled), at("/usr", "execute", "read_file"), *rules, LandlockRestrict(slot, U32(0))]


def run(tail: Sequence[Op], script: str, extra: Sequence[Op] = (), **options: object) -> Ended:
    """The small box, entered, with these ops as its last."""
    before, inside = boxed()
    parts = plan(before, [*inside, *extra, *boxed_end(), *tail], shell(script))
    return launch(parts, **options)  # type: ignore[arg-type]


def fault(ended: Ended) -> tuple[int, int]:
    """Which op failed, and its errno; the command never ran."""
    assert (ended.out, ended.status) == ("", 125)
    return ended.record["fail_op"], ended.record["fail_errno"]


@needs("landlock>=1")
def test_domain_allows_its_rules_and_nothing_else() -> None:
    script = "read line < /etc/group && echo yes; read line < /etc/passwd || echo no"
    ended = run(domain(at("/etc/group", "read_file"), at("/etc/ld.so.cache", "read_file")), script)
    assert (ended.out, ended.status) == ("yes\nno\n", 0)
    assert run([], "read line < /etc/passwd && echo yes").out == "yes\n"


@needs("landlock>=1")
def test_rule_for_a_directory_holds_below_it_and_across_mounts() -> None:
    assert run(domain(at("/", "read_dir")), "ls / /etc >/dev/null && echo listed").status != 0
    ended = run(domain(at("/", "read_file", "read_dir")), "read line < /etc/passwd && for x in /usr/*; do echo $x; break; done")
    assert ended.out.startswith("/usr/")


@needs("landlock>=1")
def test_program_without_a_rule_to_execute_is_not_started() -> None:
    ended = run([create("execute"), at("/etc", "execute"), LandlockRestrict(SLOT, U32(0))], "echo ran")
    assert (ended.out, ended.status, ended.record["fail_errno"]) == ("", 126, errno.EACCES)


@needs("landlock>=1")
def test_further_domain_only_narrows() -> None:
    wide = domain(at("/etc", "read_file"))
    narrow = domain(at("/etc/group", "read_file"), at("/etc/ld.so.cache", "read_file"))
    script = "read line < /etc/group && echo group; read line < /etc/passwd && echo passwd"
    assert run(wide, script).out == "group\npasswd\n"
    assert run([*wide, *narrow], script).out == "group\n"
    assert run([*narrow, *wide], script).out == "group\n"


@needs("landlock>=1")
def test_streams_are_opened_again_for_what_they_are_open_for(tmp_path: Path) -> None:
    """Of a file that is stdin the job gets what the descriptor has; a mount that is read-only is not asked on this way."""
    (tmp_path / "in").write_text("text\n")
    (tmp_path / "in").chmod(0o666)
    tmp_path.chmod(0o755)
    prefix = ("/bin/sh", "-c", f'exec "$0" "$@" < {tmp_path}/in 2> {tmp_path}/err')
    script = "read l < /proc/self/fd/0 && echo $l; (: >> /proc/self/fd/0) || echo no; : > /proc/self/fd/2 && echo cut"
    rights = {"readable": files("read_file"), "writable": files("write_file", "truncate")}
    tail = [create(*FILES, **rights), at("/usr", "execute", "read_file"), at("/etc", "read_file"), LandlockRestrict(SLOT, U32(0))]
    assert run(tail, script, prefix=prefix).out == "text\nno\ncut\n"
    assert run(domain(at("/etc", "read_file")), script, prefix=prefix).out == "no\n"
    assert run([], script, prefix=prefix).out == "text\ncut\n"


@needs("landlock>=1")
def test_pipes_as_streams_are_no_business_of_landlock() -> None:
    rights = {"readable": files("read_file"), "writable": files("write_file")}
    tail = [create(*FILES, **rights), *domain(at("/etc", "read_file"))[1:]]
    assert run(tail, "echo again > /proc/self/fd/1", stdin=b"x").out == "again\n"


@needs("landlock>=1")
def test_stream_that_is_only_a_place_gives_no_right() -> None:
    """An O_PATH descriptor can be read by nobody, so it must not become a rule."""
    code = "import os, sys; fd = os.open('/etc/hostname', os.O_PATH); os.dup2(fd, 0); os.execv(sys.argv[1], sys.argv[1:])"
    tail = [create(*FILES, readable=files("read_file")), *domain(at("/etc/ld.so.cache", "read_file"))[1:]]
    prefix = ("/usr/bin/python3", "-c", code)
    assert run(tail, "read l < /proc/self/fd/0 || echo no", prefix=prefix).out == "no\n"
    assert run([], "read l < /proc/self/fd/0 && echo yes", prefix=prefix).out == "yes\n"


@needs("landlock>=4")
def test_port_rule_allows_that_port_alone() -> None:
    bind = U64(mask_of(["bind_tcp"], Kind.NETWORK))
    code = (
        "import socket\n"
        "for port in (8001, 8002):\n"
        "    try: socket.create_server(('127.0.0.1', port)).close(); print('bound')\n"
        "    except OSError as error: print(error.errno)\n"
    )
    tail = [create(network=bind), LandlockPort(SLOT, U32(8001), bind), LandlockRestrict(SLOT, U32(0))]
    up = [ops.Unshare(U64(NEWNET)), ops.BringUpLoopback()]
    assert run(tail, f'exec /usr/bin/python3 -c "{code}"', extra=up).out.split() == ["bound", str(errno.EACCES)]
    assert run([], f'exec /usr/bin/python3 -c "{code}"', extra=up).out.split() == ["bound", "bound"]


@needs("landlock>=6")
def test_scope_keeps_signals_inside_of_the_domain() -> None:
    script = "kill -0 1 && echo init; sleep 9 & kill -9 $! && echo child"
    assert run([create(scoped=2), LandlockRestrict(SLOT, U32(0))], script).out == "child\n"
    assert run([], script).out == "init\nchild\n"


@needs("landlock>=1")
def test_init_stands_outside_and_ends_the_box() -> None:
    ended = run([create(*FILES, scoped=3), *domain(at("/", *FILES))[1:]], "sleep 100 & exit 7")
    assert ended.status == 7


@needs("landlock>=1")
def test_ruleset_is_no_descriptor_of_the_command() -> None:
    entered = run(domain(at("/", "read_file", "read_dir")), "ls /proc/self/fd")
    prepared = run(domain()[:-1], "ls /proc/self/fd", extra=[])
    assert entered.out.split() == prepared.out.split() == ["0", "1", "2", "3"]


WRONG: dict[str, tuple[list[Op], tuple[int, int]]] = {
    "unknown right": ([LandlockCreate(SLOT, U64(1 << 63), U64(0), U64(0), U64(0), U64(0))], (CREATE, errno.EINVAL)),
    "no right": ([create()], (CREATE, errno.ENOMSG)),
    "slot that is none": ([LandlockCreate(NO_SLOT, files("execute"), U64(0), U64(0), U64(0), U64(0))], (CREATE, errno.EBADMSG)),
    "streams beyond what is handled": ([create("read_dir", readable=files("execute"))], (CREATE, errno.EINVAL)),
    "path without a ruleset": ([at("/usr", "execute")], (PATH, errno.EBADF)),
    "path that is missing": ([create("execute"), at("/nope", "execute")], (PATH, errno.ENOENT)),
    "path through a link": ([create("execute"), at("/proc/self", "execute")], (PATH, errno.ELOOP)),
    "path out of the root": ([create("execute"), at("/../../nope", "execute")], (PATH, errno.ENOENT)),
    "file with a right of directories": ([create("read_dir"), at("/etc/passwd", "read_dir")], (PATH, errno.EINVAL)),
    "rule without a right": ([create("execute"), at("/usr")], (PATH, errno.ENOMSG)),
    "right that is not handled": ([create("execute"), at("/usr", "read_file")], (PATH, errno.EINVAL)),
    "port without a ruleset": ([LandlockPort(SLOT, U32(80), U64(1))], (PORT, errno.EBADF)),
    "port that is none": ([create(network=1), LandlockPort(SLOT, U32(65536), U64(1))], (PORT, errno.EINVAL)),
    "domain without a ruleset": ([LandlockRestrict(SLOT, U32(0))], (RESTRICT, errno.EBADF)),
    "domain of something else": (
        [ops.OpenDirectory(SLOT, Text("/usr")), LandlockRestrict(SLOT, U32(0))],
        (RESTRICT, errno.EBADF),
    ),
    "domain entered twice": ([create("make_char"), *[LandlockRestrict(SLOT, U32(0))] * 2], (RESTRICT, errno.EBADF)),
    "unknown flag": ([create("make_char"), LandlockRestrict(SLOT, U32(1 << 31))], (RESTRICT, errno.EINVAL)),
}


@needs("landlock>=4")
@pytest.mark.parametrize("case", WRONG)
def test_what_the_kernel_or_the_launcher_refuses_names_its_op(case: str) -> None:
    tail, expected = WRONG[case]
    assert fault(run(tail, "echo ran")) == expected


@needs("landlock>=1")
def test_domain_needs_no_new_privs() -> None:
    tail: list[Op] = [ops.CloseFds(U32List(())), create("make_char"), LandlockRestrict(SLOT, U32(0))]
    before: list[Op] = [ops.Start(U64(0))]
    bare = launch(plan(before, tail, shell("echo ran")), prefix=ORDINARY)
    assert fault(bare) == (RESTRICT, errno.EPERM)
    assert launch(plan(before, [ops.SetNoNewPrivs(), *tail], shell("echo ran")), prefix=ORDINARY).out == "ran\n"


def test_ops_stand_in_the_inside_list_only() -> None:
    parts = plan([ops.Start(U64(0)), create("execute")], [], shell("echo ran"))
    assert launch(parts).status == 125
    assert launch(plan([ops.Start(U64(0))], [create("execute")], shell("echo ran"))).out == "ran\n"
