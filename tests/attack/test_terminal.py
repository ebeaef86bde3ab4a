"""The caller's terminal, and the box's own: what a job can do to the first, and that the second works like one.

Each test is a person at a pseudo-terminal who types into an interactive shell, and the shell starts the boxes.
"""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.attack.screens import PROMPT, Screen, given_back
from tests.attack.seats import Seat, eventually, init_of, is_living, kill_exactly, monitor_of, name_of
from tests.live.leaks import descendants

ESCAPE = "\x1b]0;owned\x07"
HIGH_BITS = ("0", "1", "0xdeadbeef", "0x80000000")
TIOCGSID = 0x5429  # include/uapi/asm-generic/ioctls.h


# ── the caller's terminal ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("options", ["", "-t"], ids=["inherited", "own"])
def test_job_cannot_type_into_the_terminal(screen: Screen, options: str) -> None:
    """TIOCSTI and TIOCLINUX, also with bits in the upper half that the kernel throws away: the filter refuses, not luck."""
    tries = [f"./actor push {stream} {high}" for stream in ("0", "1", "2") for high in HIGH_BITS]
    said = screen.enter(screen.box(f"sh -c '{'; '.join(tries)}'", options))
    assert said.split() == ["TIOCSTI", "-1", "EPERM", "TIOCLINUX", "-1", "EPERM"] * len(tries)
    assert screen.waiting() == 0
    assert screen.enter("echo").strip() == ""


def test_shell_itself_could_type_into_its_terminal(screen: Screen) -> None:
    """The same program outside a box: what it tries works where the kernel has it."""
    said = screen.enter("./actor push 0").removeprefix("Z").split()[:3]
    is_allowed = Path("/proc/sys/dev/tty/legacy_tiocsti").read_text().strip() == "1"
    assert said == (["TIOCSTI", "0", "ok"] if is_allowed else ["TIOCSTI", "-1", "EIO"])


def test_job_cannot_make_the_callers_terminal_its_own(screen: Screen) -> None:
    """It is the controlling terminal of the shell's session, and stays that."""
    with given_back(screen):
        said = screen.enter(screen.box("./actor seize 0", "")).replace("\r", "")
        assert said.splitlines() == ["TIOCSCTTY -1 EPERM"] * 4 + ["tty -1 ENXIO"]


def test_terminal_that_nobody_controls_is_nobodys_again_in_the_end(seat: Seat, actor: Path) -> None:
    """Standard input is a terminal without a session: the job may take that, as it must its own ones, and not keep it."""
    master, slave = pty.openpty()
    os.chown(os.ttyname(slave), seat.person.uid, -1)
    words = [*seat.person.prefix, *seat.words(["./actor", "seize", "0"])]
    done = subprocess.run(
        words, cwd=seat.place, env=seat.person.environment(), stdin=slave, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines() == ["TIOCSCTTY 0 ok"] * 4 + ["tty 3 ok"]
    with pytest.raises(OSError, match="Inappropriate ioctl"):
        fcntl.ioctl(master, TIOCGSID, b"\0" * 4)
    os.close(master)
    os.close(slave)


def test_job_has_no_part_in_the_callers_job_control(screen: Screen) -> None:
    """It is in another session, so that its groups are none of the terminal's."""
    with given_back(screen):
        said = screen.enter(screen.box("sh -c 'ps -o sid=,pid=,tty= -p $$; echo $PPID'", ""))
        session, pid, tty, parent = said.split()
        assert (session, tty, parent) == (pid, "?", "1")


# ── a terminal of the box's own ───────────────────────────────────────────────────────────────────────────────────────


def test_own_terminal_is_all_three_streams_and_the_controlling_one(screen: Screen) -> None:
    with given_back(screen):
        said = screen.enter(screen.box("sh -c 'tty; tty <&1; tty <&2; ps -o tty= -p $$; echo here > /dev/tty'"))
        assert said.split() == ["/dev/pts/0"] * 3 + ["pts/0", "here"]


def test_own_terminal_can_be_seized_by_its_own_session(screen: Screen) -> None:
    """The twin of the caller's, which cannot."""
    assert screen.enter(screen.box("sh -c ': < /dev/tty && echo mine'")).split() == ["mine"]


def test_size_of_the_window_arrives_and_so_does_its_change(screen: Screen) -> None:
    with given_back(screen):
        screen.begin(screen.box("./actor sizes"))
        screen.read_until("size 33099 ok")
        screen.resize(50, 132)
        screen.read_until("size 50132 ok")
        screen.resize(24, 80)
        screen.read_until("size 24080 ok")
        screen.type(b"\x03")
        screen.read_until(PROMPT)
        screen.resize(33, 99)


def test_interrupt_key_reaches_the_job_and_not_the_front(screen: Screen) -> None:
    """The job decides what becomes of it; the shell gets its status."""
    with given_back(screen):
        screen.begin(screen.box("sh -c 'trap \"echo caught; exit 5\" INT; echo ready; while :; do sleep 0.05; done'"))
        screen.read_until("ready")
        screen.type(b"\x03")
        screen.read_until("caught")
        screen.read_until(PROMPT)
        assert screen.enter("echo $?").startswith("5\r\n")


def test_interrupt_key_without_a_terminal_of_its_own_reaches_the_job_once(screen: Screen) -> None:
    """The key goes to the front's group, and the front passes it on."""
    with given_back(screen):
        screen.begin(screen.box("./actor signals 400", ""))
        screen.read_until("ready")
        screen.type(b"\x03")
        assert "INT 1 ok" in screen.read_until("done 0 ok")
        screen.read_until(PROMPT)


def stopped(screen: Screen, end: str = "wait") -> list[int]:
    """Press the key in a box without a terminal of its own. The front and the processes of the box, all of which stand still.

    end: what the job does when it is ready. While it runs in the background it may not read: the shell reads the same keys.
    """
    screen.enter("set -b")
    screen.begin(screen.box(f"sh -c 'sleep 600 & setsid sleep 600 & echo ready; {end}'", "--timeout 1m"))
    screen.read_until("ready")
    front = screen.front()
    assert eventually(lambda: [name_of(pid) for pid in job_of(front)].count("sleep") == 2)
    assert "T" not in states(job_of(front))
    screen.type(b"\x1a")
    screen.read_until("Stopped")
    screen.read_until(PROMPT)
    assert eventually(lambda: states(job_of(front)) == {"T"})
    return [front, *job_of(front)]


def job_of(front: int) -> set[int]:
    """The processes of a box but pid 1."""
    return descendants(init_of(front))


def states(pids: Iterable[int]) -> set[str]:
    """The letters of proc_pid_stat(5) of processes that are there."""
    return {Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in pids}


def test_suspend_key_stops_the_whole_box_and_fg_lets_it_go_on(screen: Screen) -> None:
    """The front is the shell's job, and the box is what the person means by it."""
    with given_back(screen):
        box = stopped(screen, "read line; echo got $line")
        screen.type("echo still-$((1 + 1))\r")
        screen.read_until("still-2\r\n")
        screen.begin("fg")
        assert eventually(lambda: "T" not in states(box))
        screen.type("hello\r")
        screen.read_until("got hello")
        screen.read_until(PROMPT)


def test_stopped_box_goes_on_in_the_background(screen: Screen) -> None:
    with given_back(screen):
        box = stopped(screen)
        screen.enter("bg")
        assert eventually(lambda: "T" not in states(box))
        screen.enter("kill %1; wait")


def test_stopped_box_can_be_ended(screen: Screen) -> None:
    """`kill` sends SIGTERM and lets the job go on, so that it can obey."""
    with given_back(screen):
        box = stopped(screen)
        screen.enter("kill %1")
        assert eventually(lambda: not any(is_living(pid) for pid in box))
        screen.enter("wait")


def test_wall_clock_ends_a_stopped_box(screen: Screen) -> None:
    """It is a promise about time, and does not wait for whoever pressed the key."""
    with given_back(screen):
        screen.begin(screen.box("sh -c 'echo ready; exec sleep 600'", "--timeout 1s", is_quiet=False))
        screen.read_until("ready")
        monitor = monitor_of(screen.front())
        screen.type(b"\x1a")
        screen.read_until("Stopped")
        screen.read_until(PROMPT)
        assert eventually(lambda: not is_living(monitor))
        screen.begin("fg")
        assert "wall clock" in screen.read_until(PROMPT)
        assert screen.enter("echo $?").startswith("124\r\n")


def test_end_of_file_key_ends_the_input(screen: Screen) -> None:
    with given_back(screen):
        screen.begin(screen.box("sh -c 'echo ready; cat; echo over'"))
        screen.read_until("ready\r\n")
        screen.type("a line\r")
        assert screen.read_until("a line\r\na line\r\n") == ""
        screen.type(b"\x04")
        assert screen.read_until(PROMPT) == "over\r\n"


def test_quit_key_and_suspend_key_are_the_jobs(screen: Screen) -> None:
    """Ctrl-\\ ends the foreground of the box; Ctrl-Z stops it there, and its own shell goes on."""
    with given_back(screen):
        screen.begin(screen.box("bash --norc -ic 'echo ready; sleep 600; echo code $?'"))
        screen.read_until("ready")
        eventually(lambda: "sleep" in [name_of(pid) for pid in descendants(screen.shell.pid)])
        screen.type(b"\x1c")
        screen.read_until("code 131")
        screen.read_until(PROMPT)


def test_programs_that_draw_get_every_key(screen: Screen) -> None:
    """The caller's terminal is raw: no character is taken on the way, and none is changed."""
    script = "stty raw -echo; echo ready; dd bs=1 count=6 2>/dev/null | od -An -tx1"
    with given_back(screen):
        screen.begin(screen.box(f"sh -c '{script}'"))
        screen.read_until("ready")
        screen.type(b"\x03\x1a\x11\r\x04\x7f")
        assert screen.read_until(PROMPT).split() == ["03", "1a", "11", "0d", "04", "7f"]


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143)])
def test_status_passes(screen: Screen, script: str, status: int) -> None:
    with given_back(screen):
        screen.enter(screen.box(f"sh -c '{script}'"))
        assert screen.enter("echo $?").startswith(f"{status}\r\n")


def test_failed_start_gives_the_terminal_back(screen: Screen) -> None:
    with given_back(screen):
        assert "no such program" in screen.enter(screen.box("no-such-program"))
        assert screen.enter("echo $?").startswith("127\r\n")


def test_timeout_gives_the_terminal_back(screen: Screen) -> None:
    with given_back(screen):
        said = screen.enter(screen.box("sh -c 'stty raw; trap \"\" TERM; sleep 600'", "-t --timeout 500ms", is_quiet=False))
        assert "wall clock" in said
        assert screen.enter("echo $?").startswith("124\r\n")


def test_job_that_leaves_its_terminal_in_disorder_leaves_the_callers_alone(screen: Screen) -> None:
    with given_back(screen):
        screen.enter(screen.box("sh -c 'stty raw -echo -isig; stty rows 1 cols 1'"))
        assert fcntl.ioctl(screen.slave, termios.TIOCGWINSZ, b"\0" * 8)[:4] == struct.pack("HH", 33, 99)


def test_killed_monitor_gives_the_terminal_back(screen: Screen) -> None:
    """The launcher had made it raw; the front, which is left, puts it back and says what happened."""
    with given_back(screen):
        screen.begin(screen.box("sh -c 'stty -echo; echo ready; sleep 600'"))
        screen.read_until("ready")
        assert kill_exactly(monitor_of(screen.front()))
        assert "the launcher was lost" in screen.read_until(PROMPT)
        assert screen.enter("echo $?").startswith("125\r\n")


def test_killed_front_gives_the_terminal_back(screen: Screen) -> None:
    """The monitor is left; the shell takes the foreground itself."""
    with given_back(screen):
        screen.begin(screen.box("sh -c 'stty -echo; echo ready; sleep 600'"))
        screen.read_until("ready")
        front = screen.front()
        monitor = monitor_of(front)
        assert kill_exactly(front)
        assert eventually(lambda: not is_living(monitor))
        screen.read_until(PROMPT)
        assert screen.enter("echo $?").startswith("137\r\n")


def test_terminal_that_hangs_up_ends_the_box(screen: Screen) -> None:
    """The window is closed: the shell gets SIGHUP and passes it on, and nothing stays."""
    screen.begin(screen.box("sh -c 'echo ready; sleep 600'"))
    screen.read_until("ready")
    front = screen.front()
    box = [front, *descendants(front)]
    os.close(screen.master)
    screen.master = os.open("/dev/null", os.O_RDONLY)
    assert eventually(lambda: not any(is_living(pid) for pid in box))


def test_box_in_the_background_waits_for_the_terminal(screen: Screen) -> None:
    """It does not take the keys from the shell: it stops, as every program does that wants the terminal, until it is called."""
    with given_back(screen):
        screen.enter("set -b")
        screen.type(screen.box("sh -c 'echo in front; read line; echo got $line'") + " &\r")
        screen.read_until("Stopped")
        screen.type("echo still-$((1 + 1))\r")
        screen.read_until("still-2")
        screen.read_until(PROMPT)
        screen.begin("fg")
        screen.read_until("in front")
        screen.type("hello\r")
        screen.read_until("got hello")
        screen.read_until(PROMPT)


# ── a terminal for the job where the caller has none ──────────────────────────────────────────────────────────────────


def lines_of(text: str) -> list[str]:
    """Lines as they look, whatever ends them."""
    return text.replace("\r", "").splitlines()


def test_input_that_is_no_terminal_is_typed_for_the_job(seat: Seat) -> None:
    """Standard input is a pipe: the job has a terminal all the same, its echo is seen, and the end of the input is its end."""
    ended = seat.run(["sh", "-c", "tty; cat; echo over"], options=["-t"], stdin="one\ntwo\n")
    assert (ended.status, ended.err) == (0, "")
    found = lines_of(ended.out)
    assert "/dev/pts/0" in found
    assert (found.count("one"), found.count("two"), found[-1]) == (2, 2, "over")


def test_input_that_is_empty_is_an_end(seat: Seat) -> None:
    assert lines_of(seat.run(["sh", "-c", "cat; echo over"], options=["-t"]).out)[-1] == "over"


def test_without_the_option_there_is_no_terminal(seat: Seat) -> None:
    assert seat.run(["sh", "-c", "tty"]).out == "not a tty\n"


def test_output_of_the_terminal_into_a_pipe_is_whole(seat: Seat) -> None:
    ended = seat.run(["seq", "20000"], options=["-t"])
    assert lines_of(ended.out) == [str(number) for number in range(1, 20001)]


# ── what we say about things that a job has named ─────────────────────────────────────────────────────────────────────


def plain(text: str) -> bool:
    """Nothing in it moves a cursor or names a window. C1 controls count: some terminals obey them in UTF-8 too."""
    return all(character.isprintable() or character in "\n" for character in text)


NAMES: tuple[tuple[str, Callable[[Seat], list[str | Path]]], ...] = (
    ("command", lambda seat: ["exec", "--", f"/bin/{ESCAPE}"]),
    ("command-c1", lambda seat: ["exec", "--", "no\x9b31m\u202eso"]),
    ("script", lambda seat: ["exec", "-p", "python", "--", seat.file(f"x{ESCAPE}", "#!/no/such\n", 0o755)]),
    ("text", lambda seat: ["exec", "-p", "python", "--", seat.file(f"y{ESCAPE}", "no program", 0o755)]),
    ("profile", lambda seat: ["exec", "-p", f"no{ESCAPE}", "--", "true"]),
    ("profile-file", lambda seat: ["exec", "-p", seat.file(f"z{ESCAPE}.yaml", "kind: profile\nname: z\n"), "--", "true"]),
    ("profile-text", lambda seat: ["exec", "-p", seat.file("a.yaml", f'kind: profile\n"{ESCAPE}": 1\n'), "--", "true"]),
    ("profile-value", lambda seat: ["exec", "-p", seat.file("b.yaml", 'kind: profile\nname: "\\e]0;x\\a"\n'), "--", "true"]),
    ("option", lambda seat: ["exec", "--timeout", ESCAPE, "--", "true"]),
    ("read", lambda seat: ["exec", "--read", f"/{ESCAPE}", "--", "true"]),
    ("env", lambda seat: ["exec", "--env", f"A{ESCAPE}=1", "--", "true"]),
    ("verb", lambda seat: [ESCAPE]),
    ("report", lambda seat: ["exec", "--report", f"/no/{ESCAPE}", "--", "true"]),
    ("list", lambda seat: ["profiles"] if seat.profile(f"q{ESCAPE}", "") else []),
    ("verbose", lambda seat: ["exec", "-v", "-p", seat.profile("v", f'filesystem: {{read: ["/no{ESCAPE}?"]}}\n'), "--", "true"]),
)  # fmt: skip


@pytest.mark.parametrize(("name", "words"), NAMES, ids=[name for name, _ in NAMES])
def test_messages_show_escapes_instead_of_sending_them(seat: Seat, name: str, words: Callable[[Seat], list[str | Path]]) -> None:
    """A job may have chosen the name, by a file that it left or a value that it printed."""
    done = seat.person.run([seat.installation.command, *words(seat)], cwd=seat.place)
    said = done.stdout + done.stderr
    assert plain(said), said
    assert name == "verbose" or said


def test_output_of_the_job_itself_is_passed_on_as_it_is(seat: Seat) -> None:
    """The twin: what a job prints is the job's."""
    assert seat.run(["printf", "\\033[1mbold"]).out == "\x1b[1mbold"
