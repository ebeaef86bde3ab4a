"""How the command runs as a process: its init, session, descriptors, umask, name, and a terminal of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import Sequence

import pytest

from tests.live.boxes import Box
from tests.live.needs import needs

ORPHANS = """
for _ in range(20):
    child = os.fork()
    if child == 0:
        if os.fork():
            os._exit(0)
        os._exit(0 if os.getppid() else 1)
    os.waitpid(child, 0)
end = time.monotonic() + 20
while len([name for name in os.listdir("/proc") if name.isdigit()]) > 2 and time.monotonic() < end:
    time.sleep(0.01)
seen["left"] = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
"""


def start(box: Box, command: Sequence[str], *, options: Sequence[str] = (), **more: object) -> subprocess.Popen[bytes]:
    words = box.words(command, options)
    return subprocess.Popen(words, cwd=box.place, env=box.person.environment(), **more)  # type: ignore[call-overload,no-any-return]


def test_process_is_as_strict_as_can_be_by_default(box: Box) -> None:
    seen = box.look("""
seen["ids"] = [os.getpid(), os.getppid(), os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid()]
seen["umask"] = oct(os.umask(0))
seen["names"] = [os.uname().nodename, socket.gethostname()]
seen["rights"] = status("NoNewPrivs")
seen["fds"] = sorted(int(name) for name in os.listdir("/proc/self/fd"))
seen["tty"] = attempt(lambda: os.close(os.open("/dev/tty", os.O_RDWR)))
seen["signals"] = [status(name) for name in ("SigBlk", "SigIgn")]
seen["init"] = [attempt(os.readlink, "/proc/1/exe"), attempt(os.listdir, "/proc/1/fd"), attempt(read, "/proc/1/environ")]
""")
    fds = seen.pop("fds")
    assert fds[:3] == [0, 1, 2]
    assert len(fds) == 4  # the listing itself
    assert seen["ids"] == [2, 1, True, True]
    assert (seen["umask"], seen["names"], seen["rights"]) == ("0o22", ["sandbox", "sandbox"], ["1"])
    assert seen["tty"] == "ENXIO"
    assert seen["signals"][0] == ["0" * 16]
    assert seen["init"] == ["EACCES"] * 3


def test_streams_that_are_pipes_can_be_opened_by_name(box: Box) -> None:
    """The pipes are the caller's own, as those of a shell are."""
    script = "read line < /dev/stdin; echo $line > /dev/stdout; echo err > /dev/stderr"
    sandboxer = [str(box.installation.command), "exec", "--profile", "box", "--", "sh", "-c", script]
    done = box.person.run(["sh", "-c", 'echo in | "$@" 2>&1 | cat', "sh", *sandboxer], cwd=box.place)
    assert done.stdout == "in\nerr\n"


def test_file_of_a_stream_stays_its_owners(box: Box) -> None:
    """What the job may do with it is what it was opened for; its owner is the caller's business."""
    path = box.write("stream")
    with path.open("wb") as file, start(box, ["sh", "-c", "echo out"], stdout=file) as process:
        assert process.wait(60) == 0
    assert (path.read_text(), path.stat().st_uid) == ("out\n", box.person.uid)


def test_umask_and_name_are_those_of_the_profile(box: Box) -> None:
    box.profile('process: {umask: "077", hostname: build.example}')
    seen = box.look("write('made'); seen.update(name=os.uname().nodename)")
    assert seen == {"name": "build.example"}
    assert (box.place / "made").stat().st_mode & 0o777 == 0o600
    assert os.uname().nodename != "build.example"


def test_reaper_takes_care_of_orphans(box: Box) -> None:
    assert box.look(ORPHANS) == {"left": [1, 2]}


def test_without_an_init_the_command_is_the_first_process(box: Box) -> None:
    box.profile("process: {init: false}")
    assert box.look("seen['ids'] = [os.getpid(), os.getppid()]") == {"ids": [1, 0]}
    assert box.run("sh", "-c", "exit 7").returncode == 7


@pytest.mark.parametrize("has_init", [True, False])
def test_signals_reach_the_command(box: Box, has_init: bool) -> None:
    box.profile(f"process: {{init: {str(has_init).lower()}}}")
    code = """
def got(number, frame):
    os.write(1, f"{signal.Signals(number).name}\\n".encode())
    if number == signal.SIGTERM:
        sys.exit(9)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, got)
os.write(1, b"ready\\n")
while True:
    signal.pause()
"""
    process = start(box, box.python(code), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert process.stdout
    lines = [process.stdout.readline()]
    for number in (signal.SIGUSR1, signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        process.send_signal(number)
        lines.append(process.stdout.readline())
    assert lines == [b"ready\n", b"SIGUSR1\n", b"SIGHUP\n", b"SIGINT\n", b"SIGTERM\n"]
    process.stdout.close()
    assert process.wait(30) == 9


def test_descriptors_come_in_only_where_they_are_listed(box: Box) -> None:
    read, write = os.pipe()
    fd = fcntl.fcntl(write, fcntl.F_DUPFD, 100)  # the low ones are pytest's
    try:
        code = f"print(sorted(set(os.listdir('/proc/self/fd')) - set('0123')), attempt(os.write, {fd}, b'hello'), flush=True)"

        def output(*options: str) -> str:
            process = start(
                box, box.python(code), options=options, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=(fd,)
            )
            return process.communicate(timeout=60)[0].decode()

        closed, kept = "[] EBADF\n", f"['{fd}'] ok\n"
        assert output() == closed
        assert f"does not allow --fd {fd}" in output("--fd", str(fd))
        box.profile(f"options: {{fds: [{fd}]}}")
        assert output() == closed
        assert output("--fd", str(fd)) == kept
        assert os.read(read, 16) == b"hello"
        box.profile(f"process: {{fds: [{fd}]}}")
        assert output() == kept
    finally:
        for each in (read, write, fd):
            os.close(each)


def test_listed_descriptor_that_the_caller_lacks_is_refused(box: Box) -> None:
    box.profile("process: {fds: [999]}")
    assert "descriptor 999 is not open" in box.refusal()


@needs("root")
def test_no_new_privs_can_be_given_up_by_an_override_alone(box: Box) -> None:
    box.profile("process: {no_new_privs: false}")
    assert "no_new_privs can be given up only by an override" in box.refusal()
    box.profile("override: [{path: process.no_new_privs, value: false, reason: 'a test of it'}]")
    if box.person.uid:
        assert "an ordinary user cannot load a system call filter without no_new_privs" in box.refusal()
    else:
        assert box.look("seen['rights'] = status('NoNewPrivs')") == {"rights": ["0"]}


class Terminal:
    """A terminal of the test's own, for a run that is given one."""

    def __init__(self) -> None:
        self.ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))

    def read_until(self, text: bytes) -> bytes:
        found = b""
        while text not in found:
            found += os.read(self.ours, 4096)
        return found

    def close(self) -> None:
        os.close(self.ours)
        os.close(self.theirs)


def test_terminal_of_its_own_is_a_terminal_and_not_the_callers(box: Box) -> None:
    terminal = Terminal()
    code = """
print([os.isatty(fd) for fd in (0, 1, 2)], os.ttyname(0), os.get_terminal_size(), os.environ["TERM"], attempt(read, "/dev/tty"))
print("sti", attempt(__import__("fcntl").ioctl, 0, 0x5412, b"x"), flush=True)
line = input("name? ")
print("hello " + line, flush=True)
"""
    try:
        words = box.python(code.replace(', attempt(read, "/dev/tty")', ""))
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.theirs)
        process = start(box, words, options=["-t"], start_new_session=True, **streams)
        told = terminal.read_until(b"name? ")
        os.write(terminal.ours, b"world\n")
        answer = terminal.read_until(b"hello world")
        assert process.wait(30) == 0
    finally:
        terminal.close()
    assert b"[True, True, True] /dev/pts/0 os.terminal_size(columns=111, lines=33) dumb" in told
    assert b"sti EPERM" in told
    assert b"hello world" in answer


def test_without_the_option_the_command_has_no_terminal_to_control(box: Box) -> None:
    terminal = Terminal()
    try:
        code = "print([os.isatty(0), attempt(lambda: os.open('/dev/tty', os.O_RDWR)), attempt(os.tcgetpgrp, 0)], flush=True)"
        process = start(
            box, box.python(code), stdin=terminal.theirs, stdout=terminal.theirs, stderr=terminal.theirs, start_new_session=True
        )
        told = terminal.read_until(b"]")
        assert process.wait(30) == 0
    finally:
        terminal.close()
    assert b"[True, 'ENXIO', 'ENOTTY']" in told


def test_terminal_without_devices_is_refused(box: Box) -> None:
    box.profile(policies=["filesystem/runtime", "syscalls/application"])
    assert "a terminal needs the minimal /dev" in box.refusal(options=["-t"])


def test_supervisor_that_dies_takes_the_box_with_it(box: Box) -> None:
    with box.leaves_nothing():
        process = start(box, ["sh", "-c", "echo ready; sleep 1000"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.kill()
        process.wait(30)
        process.stdout.close()
