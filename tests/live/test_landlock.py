"""The second wall on its own: boxes whose mounts, namespaces and filter are wrong, with and without their Landlock domain.

A mistake is made by hand in a compiled plan: host trees lose their read-only, noexec and nodev, one that nobody granted is shown,
the network namespace and the filter are left out. What the domain refuses then, nothing else would have; that is the twin.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from sandboxer.abi.landlock import BY_NAME, LATEST_ABI
from sandboxer.compile.encode import decode_ops, encode_op
from sandboxer.model import op as ops
from sandboxer.model.op import NO_SLOT, U32, U64, Op, Text
from tests.launcher.plans import NEWNET, Parts, command, launch
from tests.live.boxes import Box, enforced
from tests.live.needs import needs, this_host

LANDLOCK = (ops.LandlockCreate, ops.LandlockPath, ops.LandlockPort, ops.LandlockRestrict)
LEAK = "/leak"
Change = Callable[[Op], Op | None]


def _mistaken(op: Op) -> Op | None:
    """The op as a careless hand would have written it."""
    match op:
        case ops.OpenTree():
            return replace(op, attributes=U64(0))
        case ops.Start():
            return replace(op, clone_flags=U64(op.clone_flags & ~NEWNET))
        case ops.Unshare():
            return replace(op, flags=U64(op.flags & ~NEWNET))
        case ops.LoadFilter() | ops.BarNamespaces():
            return None
        case _:
            return op


def _without_landlock(op: Op) -> Op | None:
    return None if isinstance(op, LANDLOCK) else op


def _without_right(name: str) -> Change:
    """The rules give one right less."""

    def change(op: Op) -> Op | None:
        return replace(op, rights=U64(op.rights & ~BY_NAME[name].mask)) if isinstance(op, ops.LandlockPath) else op

    return change


@dataclass(frozen=True)
class Wrong:
    """A box with mistakes. leak: a directory of the host that nobody granted; readable: one that is granted for reading only."""

    box: Box
    leak: Path
    readable: Path

    def run(self, code: str, *changes: Change) -> dict[str, Any]:
        """What Python code sees in the mistaken box, after these changes of its ops."""
        argv = self.box.python(code + "\nprint(json.dumps(seen))")
        done = launch(self.plan(argv, *changes), prefix=self.box.person.prefix)
        assert done.status == 0, (done.status, done.out, done.err, done.record)
        found: dict[str, Any] = json.loads(done.out)
        return found

    def plan(self, argv: list[str], *changes: Change) -> Parts:
        """The profile's plan with the mistakes in it."""
        saved = self.box.person.home / "wrong.plan"
        words = [self.box.installation.command, "compile", "--profile", "box", "-o", saved, "--", "true"]
        done = self.box.person.run(words, cwd=self.box.place)
        assert done.returncode == 0, done.stderr
        lists = decode_ops(saved.read_bytes())
        saved.unlink()
        inside = list(lists["inside"])
        stage = next(number for number, op in enumerate(inside) if isinstance(op, ops.MakeStage))
        pivot = next(number for number, op in enumerate(inside) if isinstance(op, ops.PivotRoot))
        slot = U32(190)
        inside[pivot:pivot] = [ops.MakeDirectory(Text(LEAK), U32(0o755)), ops.Attach(slot, Text(LEAK))]
        inside = [op for op in inside if not isinstance(op, ops.SetMountAttributes)]  # or nothing could be made in the root
        inside.insert(stage, ops.OpenTree(slot, Text(str(self.leak)), U64(0), U32(1), NO_SLOT))
        encoded = []
        for steps in (lists["before"], tuple(inside), lists["after"]):
            kept: list[Op] = list(steps)
            for change in (_mistaken, *changes):
                kept = [changed for op in kept if (changed := change(op)) is not None]
            encoded.append([encode_op(op) for op in kept])
        return Parts(encoded[0], encoded[1], encoded[2], command(argv))


def _fill(directory: Path) -> None:
    """Something of each kind, for everybody."""
    directory.chmod(0o777)
    for name in ("file", "other"):
        (directory / name).write_text("text\n")
        (directory / name).chmod(0o666)
    shutil.copy("/bin/true", directory / "program")
    (directory / "program").chmod(0o755)
    (directory / "below").mkdir()
    (directory / "below").chmod(0o777)


@pytest.fixture
def wrong(box: Box, open_directory: Path) -> Iterator[Wrong]:
    """The mistaken box of each person."""
    base = open_directory / f"leaks-{os.urandom(4).hex()}"
    base.mkdir()
    made = Wrong(box, base / "leak", base / "readable")
    for directory in (made.leak, made.readable):
        directory.mkdir()
        _fill(directory)
    box.profile(f"filesystem: {{read: ['{made.readable}']}}\n")
    box.write("file", "text\n")
    box.directory("below")
    shutil.copy("/bin/true", box.place / "program")
    os.chown(box.place / "program", box.person.uid, box.person.gid)
    yield made
    shutil.rmtree(base)


FILES = """
def at(place):
    os.chdir(place)
    return {
        "read": attempt(read, "file"),
        "write": attempt(lambda: os.close(os.open("file", os.O_WRONLY))),
        "append": attempt(lambda: os.close(os.open("file", os.O_WRONLY | os.O_APPEND))),
        "execute": attempt(execute, "./program"),
        "make file": attempt(lambda: os.close(os.open("new", os.O_CREAT | os.O_EXCL | os.O_WRONLY))),
        "make directory": attempt(os.mkdir, "newdir"),
        "make link": attempt(os.symlink, "x", "newlink"),
        "make fifo": attempt(os.mkfifo, "newfifo"),
        "make socket": attempt(socket.socket(socket.AF_UNIX).bind, "newsocket"),
        "link": attempt(os.link, "file", "linked"),
        "rename": attempt(os.rename, "file", "renamed"),
        "rename back": attempt(os.rename, "renamed", "file"),
        "move": attempt(os.rename, "file", "below/file"),
        "move back": attempt(os.rename, "below/file", "file"),
        "truncate": attempt(os.truncate, "file", 0),
        "remove": attempt(os.unlink, "file"),
        "remove directory": attempt(os.rmdir, "below"),
        "list": attempt(os.listdir, "."),
    }
"""
CHANGES = {"write", "append", "make file", "make directory", "make link", "make fifo", "make socket", "link", "rename", "move"}
CHANGES |= {"truncate", "remove", "remove directory"}


def _answers(seen: dict[str, str]) -> dict[str, str]:
    """Without what follows from another attempt."""
    return {name: answer for name, answer in seen.items() if not name.endswith("back")}


@needs("landlock>=3")
def test_tree_that_nobody_granted_shows_its_names_and_nothing_else(wrong: Wrong) -> None:
    seen = _answers(wrong.run(FILES + f"seen.update(at('{LEAK}'))"))
    assert seen == dict.fromkeys(seen, "EACCES") | {"list": "ok"}
    assert (wrong.leak / "file").read_text() == "text\n"
    twin = _answers(wrong.run(FILES + f"seen.update(at('{LEAK}'))", _without_landlock))
    assert twin == dict.fromkeys(seen, "ok")
    assert not (wrong.leak / "file").exists()


@needs("landlock>=3")
def test_tree_that_is_granted_for_reading_can_be_read_and_no_more(wrong: Wrong) -> None:
    code = FILES + f"seen.update(at('{wrong.readable}'))"
    seen = _answers(wrong.run(code))
    assert seen == dict.fromkeys(CHANGES | {"execute"}, "EACCES") | {"read": "ok", "list": "ok"}
    assert _answers(wrong.run(code, _without_landlock)) == dict.fromkeys(seen, "ok")


@needs("landlock>=3")
def test_tree_that_is_granted_whole_can_be_used_whole(wrong: Wrong) -> None:
    seen = wrong.run(FILES + f"seen.update(at('{wrong.box.place}'))")
    assert seen == dict.fromkeys(seen, "ok")


@needs("landlock>=3")
def test_truncating_is_a_right_of_its_own(wrong: Wrong) -> None:
    code = f"""
os.chdir('{wrong.box.place}')
seen["write"] = attempt(lambda: os.close(os.open("file", os.O_WRONLY)))
seen["truncate"] = attempt(os.truncate, "file", 1)
seen["open and cut"] = attempt(write, "file")
"""
    assert wrong.run(code, _without_right("truncate")) == {"write": "ok", "truncate": "EACCES", "open and cut": "EACCES"}
    assert wrong.run(code) == {"write": "ok", "truncate": "ok", "open and cut": "ok"}


@needs("landlock>=2")
def test_moving_to_another_directory_is_a_right_of_its_own(wrong: Wrong) -> None:
    code = f"""
os.chdir('{wrong.box.place}')
seen["rename"] = attempt(os.rename, "file", "renamed")
seen["move"] = attempt(os.rename, "renamed", "below/file")
"""
    assert wrong.run(code, _without_right("refer")) == {"rename": "ok", "move": "EXDEV"}
    (wrong.box.place / "renamed").rename(wrong.box.place / "file")
    assert wrong.run(code) == {"rename": "ok", "move": "ok"}


@needs("landlock>=5", "root")
def test_driver_of_a_device_is_not_spoken_to_without_a_grant(wrong: Wrong) -> None:
    """RNDGETENTCNT of the random generator, in a device that lies in a granted directory and in the box's own /dev."""
    os.mknod(wrong.readable / "random", 0o20666, os.makedev(1, 9))
    (wrong.readable / "random").chmod(0o666)
    code = f"""
import fcntl
def count(path):
    with open(path, "rb", buffering=0) as device:
        fcntl.ioctl(device, 0x80045200, bytes(4))
seen["granted"] = attempt(count, "/dev/urandom")
seen["found"] = attempt(count, "{wrong.readable}/random")
seen["read"] = attempt(lambda: os.close(os.open("{wrong.readable}/random", os.O_RDONLY)))
"""
    assert wrong.run(code) == {"granted": "ok", "found": "EACCES", "read": "ok"}
    assert wrong.run(code, _without_landlock)["found"] == "ok"


@needs("landlock>=4")
def test_no_port_is_bound_or_reached_where_there_is_no_network(wrong: Wrong) -> None:
    """The box has the host's network by mistake."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = f"""
seen["connect"] = attempt(lambda: socket.create_connection(("127.0.0.1", {server.getsockname()[1]}), timeout=5).close())
seen["bind"] = attempt(lambda: socket.create_server(("127.0.0.1", 0)).close())
seen["names"] = attempt(lambda: socket.socketpair()[0].close())
"""
        assert wrong.run(code) == {"connect": "EACCES", "bind": "EACCES", "names": "ok"}
        assert wrong.run(code, _without_landlock) == {"connect": "ok", "bind": "ok", "names": "ok"}


@needs("landlock>=6")
def test_signals_and_abstract_sockets_stay_in_the_box(wrong: Wrong) -> None:
    name = f"sandboxer-test-{os.urandom(4).hex()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        code = f"""
own = socket.socket(socket.AF_UNIX)
own.bind("\\0own")
own.listen()
seen["outside"] = attempt(socket.socket(socket.AF_UNIX).connect, "\\0{name}")
seen["own"] = attempt(socket.socket(socket.AF_UNIX).connect, "\\0own")
seen["init"] = attempt(os.kill, 1, 0)
child = os.fork()
if child == 0: time.sleep(60)
seen["child"] = attempt(os.kill, child, signal.SIGKILL)
os.waitpid(child, 0)
"""
        assert wrong.run(code) == {"outside": "EPERM", "own": "ok", "init": "EPERM", "child": "ok"}
        assert wrong.run(code, _without_landlock) == dict.fromkeys(["outside", "own", "init", "child"], "ok")


@needs("landlock>=1")
def test_nothing_is_mounted_inside_a_domain(wrong: Wrong) -> None:
    """As root of a user namespace of its own, which the filter and the kernel's number of them would refuse."""
    code = """
seen["made"] = libc.unshare(0x10000000 | 0x20000)
seen["mount"] = libc.mount(b"none", b"/tmp", b"tmpfs", ctypes.c_ulong(0), None) and errno.errorcode[ctypes.get_errno()]
"""
    assert wrong.run(code) == {"made": 0, "mount": "EPERM"}
    assert wrong.run(code, _without_landlock) == {"made": 0, "mount": 0}


# ── what the profile says ─────────────────────────────────────────────────────────────────────────────────────────────


@needs("landlock>=3")
def test_stdin_that_is_a_file_cannot_be_opened_for_writing(box: Box) -> None:
    """No mount of the box is asked on the way through /proc/self/fd; the file is the caller's own."""
    box.write("in", "text\n", mode=0o666)
    box.place.chmod(0o755)
    code = """
seen["read"] = attempt(read, "/proc/self/fd/0")
seen["write"] = attempt(write, "/proc/self/fd/0")
"""
    words = box.words(box.python(code + "print(json.dumps(seen))"))

    def seen(section: str) -> dict[str, str]:
        box.profile(section, policies=("box/application",))
        with open(box.place / "in", "rb") as stdin:
            done = subprocess.run(
                words, cwd=box.place, env=box.person.environment(), stdin=stdin, capture_output=True, text=True, timeout=60
            )
        assert done.returncode == 0, done.stderr
        found: dict[str, str] = json.loads(done.stdout)
        return found

    assert seen("") == {"read": "ok", "write": "EACCES"}
    assert (box.place / "in").read_text() == "text\n"
    assert seen("landlock: {unhandled: [filesystem]}") == {"read": "ok", "write": "ok"}


@needs("landlock>=3")
def test_output_that_is_a_file_can_be_opened_again(box: Box) -> None:
    words = box.words(["sh", "-c", "echo one > /dev/stdout; echo two >> /dev/stderr"])
    box.write("out", mode=0o666)
    box.place.chmod(0o755)
    with open(box.place / "out", "ab") as out:
        done = subprocess.run(words, cwd=box.place, env=box.person.environment(), stdout=out, stderr=out, timeout=60)
    assert (done.returncode, (box.place / "out").read_text()) == (0, "one\ntwo\n")


@needs("landlock>=4")
def test_ports_narrow_the_network_of_a_box(box: Box) -> None:
    code = """
def serve(port):
    with socket.create_server(("127.0.0.1", port)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()
seen.update({str(port): attempt(serve, port) for port in (8001, 8002)})
"""
    box.profile("network: {mode: loopback}\nlandlock: {bind_tcp: [8001]}")
    assert box.look(code) == {"8001": "ok", "8002": "EACCES"}
    box.profile("network: {mode: loopback}\nlandlock: {connect_tcp: [8002]}")
    assert box.look(code) == {"8001": "EACCES", "8002": "ok"}
    box.profile("network: {mode: loopback}")
    assert box.look(code) == {"8001": "ok", "8002": "ok"}


@needs("landlock>=4")
def test_layer_is_a_further_domain_and_leaves_files_alone(box: Box) -> None:
    box.write("file")
    box.directory("below")
    code = """
seen["bind"] = attempt(lambda: socket.create_server(("127.0.0.1", 8001)).close())
seen["move"] = attempt(os.rename, "file", "below/file")
seen["move back"] = attempt(os.rename, "below/file", "file")
"""
    box.profile("network: {mode: loopback}\nrestrict:\n  - {landlock: {bind_tcp: []}}\n")
    assert box.look(code) == {"bind": "EACCES", "move": "ok", "move back": "ok"}
    box.profile("network: {mode: loopback}\n")
    assert box.look(code) == {"bind": "ok", "move": "ok", "move back": "ok"}


@needs("landlock>=6")
def test_layer_handles_what_the_profile_leaves_alone(box: Box) -> None:
    code = "seen['init'] = attempt(os.kill, 1, 0)"
    box.profile("landlock: {unhandled: [signal]}")
    assert box.look(code) == {"init": "ok"}
    box.profile("landlock: {unhandled: [signal]}\nrestrict:\n  - {landlock: {unhandled: []}}\n")
    assert box.look(code) == {"init": "EPERM"}


@needs("landlock>=2")
def test_files_can_be_moved_where_refer_alone_is_left_alone(box: Box) -> None:
    box.write("file")
    box.directory("below")
    box.profile("landlock: {unhandled: [refer]}")
    assert box.look("seen['move'] = attempt(os.rename, 'file', 'below/file')") == {"move": "ok"}


@needs("landlock>=3")
def test_report_says_what_is_handled_and_what_is_newer(box: Box) -> None:
    _, report = box.told("true")
    lines = enforced(report, "landlock")
    assert lines[0].startswith("enforced: the profile: ")
    assert f"(ABI {this_host().landlock_abi})" in lines[0]
    assert report["is_weakened"] is False
    newer = [right.name for right in BY_NAME.values() if right.abi > this_host().landlock_abi]
    assert all(name in lines[1] for name in newer)


@needs("landlock>=3")
def test_least_abi_is_refused_or_reported_where_the_host_has_less(box: Box) -> None:
    has_all = this_host().landlock_abi >= LATEST_ABI
    box.profile(f"landlock: {{least_abi: {LATEST_ABI}, enforce: required}}")
    assert ("" if has_all else f"Landlock of ABI {LATEST_ABI}") in box.run("true").stderr
    box.profile(f"landlock: {{least_abi: {LATEST_ABI}}}")
    _, report = box.told("true")
    assert report["is_weakened"] is not has_all
