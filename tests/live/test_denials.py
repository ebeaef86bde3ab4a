"""`exec --explain`: what a job was refused, as root and as an ordinary user; and that nothing else is changed by it."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from sandboxer.abi.landlock import LOG_ABI
from tests.live.boxes import Box
from tests.live.needs import needs, this_host
from tests.live.refusals import CALLS, counts_of, raw, rows_of

WITHOUT_PROC = ("syscalls/application", "filesystem/runtime", "filesystem/python", "environment/plain")
TIOCSTI = 0x5412
AT_FDCWD = -100
HIGH = 1 << 40
UNKNOWN = max(CALLS.values()) + 500


def explained(box: Box, code: str, *options: str, status: int = 0) -> dict[str, Any]:
    """The report of a run of Python code."""
    done, data = box.told(*box.python(code), options=["--explain", "--quiet", *options])
    assert done.returncode == status, f"status {done.returncode}\n{done.stdout}{done.stderr}"
    return data


TEXT = """
def text(value):
    keep.append(ctypes.create_string_buffer(value))
    return ctypes.addressof(keep[-1])
keep = []
"""


def test_refused_calls_are_told_with_their_arguments(box: Box) -> None:
    data = explained(
        box,
        TEXT
        + f"""
attempt(socket.socket, socket.AF_VSOCK, socket.SOCK_STREAM)
{raw("mount", 'text(b"none")', 'text(b"/tmp")', 'text(b"tmpfs")', 2, 'text(b"size=1m")')}
{raw("ptrace", 16, 1, 0, 0)}
{raw("openat2", AT_FDCWD, 'text(b"/etc/passwd")', "text(bytes(16) + bytes([8]) + bytes(7))", 24)}
{raw("ioctl", 0, HIGH | TIOCSTI, 'text(b"x")')}
{raw("umount2", 'text(b"a" * 300)', 2)}
raw({UNKNOWN}, 1, 2)
""",
    )
    rows = rows_of(data)
    assert {
        "socket(family=AF_VSOCK, type=SOCK_STREAM|SOCK_CLOEXEC, protocol=0)",
        'mount(dev_name="none", dir_name="/tmp", type="tmpfs", flags=MS_NOSUID, data="size=1m")',
        "ptrace(request=PTRACE_ATTACH, pid=1, addr=NULL, data=NULL)",
        'openat2(dfd=AT_FDCWD, filename="/etc/passwd", how={O_RDONLY, RESOLVE_BENEATH}, usize=24)',
        f'umount2(name="{"a" * 256}"..., flags=MNT_DETACH)',
    } <= set(rows)
    (ioctl,) = (row for row in rows.values() if row["call"] == "ioctl")
    assert [item["text"] for item in ioctl["arguments"]][1:] == ["TIOCSTI", "[...]"]
    assert ioctl["arguments"][1]["value"] == f"{HIGH | TIOCSTI:#x}"
    assert ioctl["place"]["file"].endswith("policies/syscalls/terminal.yaml")
    (unknown,) = (row for row in rows.values() if row["call"] == f"call {UNKNOWN}")
    assert (unknown["answer"], unknown["patch"]) == ("ENOSYS", "")
    assert data["denials"]["count"] == 7


TWINS = {
    "argument": (raw("socket", 40, 1, 0), "socket"),
    "whole": (raw("keyctl", 0, -3, 0, 0, 0), "keyctl"),
    "flags": (raw("unshare", 0x10000000), "unshare"),
    "command": (raw("ptrace", 0, 0, 0, 0), "ptrace"),
    "pointer": (raw("mount", 0, 0, 0, 0, 0), "mount"),
    "denied": (raw("openat2", AT_FDCWD, 0, 0, 0), "openat2"),
    "denied by an argument": (raw("ioctl", 0, HIGH | TIOCSTI, 0), "ioctl"),
    "denied by a mask": (raw("chmod", 0, 0o4755), "chmod"),
    "not granted and denied": (raw("mknod", 0, 0o024644, 0), "mknod"),
}


@pytest.mark.parametrize("name", TWINS)
def test_patch_allows_what_was_refused(box: Box, name: str) -> None:
    code, call = TWINS[name]
    first = explained(box, code)
    (row,) = (row for row in first["denials"]["rows"] if row["call"] == call)
    assert row["try"].endswith("add to .sandboxer/profiles/box.yaml")
    box.profile(row["patch"] + "\n")
    assert counts_of(explained(box, code), call) == 0


def test_one_patch_allows_all_that_was_refused(box: Box) -> None:
    """As a stranger would: a shipped profile, the printed file written as it is, and the run again under its name."""
    code = "\n".join(code for code, _ in TWINS.values())
    calls = [call for _, call in TWINS.values()]
    interpreter = ("--read", sys.base_prefix)
    done, data = box.told(*box.python(code), options=["--explain", *interpreter], profile="default")
    assert all(counts_of(data, call) for call in calls)
    text = done.stderr.partition("all of it at once: ")[2]
    assert text.startswith(
        "take out what the job can do without, and write it to .sandboxer/profiles/my-default.yaml, and run with"
    )
    box.write(".sandboxer/profiles/my-default.yaml", textwrap.dedent(text.partition(":\n")[2].partition("\n\n")[0]))
    options = "options: {read: [/]}\n"
    with (box.place / ".sandboxer/profiles/my-default.yaml").open("a") as file:
        file.write(options)
    _, again = box.told(*box.python(code), options=["--explain", "--quiet", *interpreter], profile="my-default")
    left = {call for call in calls if counts_of(again, call)}
    assert left <= {row["call"] for row in data["denials"]["rows"] if row["answer"] == "ENOSYS"}


def test_group_allows_it_too(box: Box) -> None:
    (row,) = explained(box, raw("keyctl", 0, -3, 0, 0, 0))["denials"]["rows"]
    assert (row["group"], row["group_calls"]) == ("keyring", ["add_key", "request_key"])
    box.profile(policies=("box/application", "filesystem/project-write", f"syscalls/{row['group']}"))
    assert explained(box, raw("keyctl", 0, -3, 0, 0, 0))["denials"]["rows"] == []


def test_deny_of_the_profile_itself_is_named_by_its_place(box: Box) -> None:
    box.profile("seccomp:\n  deny:\n    - sched_yield\n")
    (row,) = explained(box, raw("sched_yield"))["denials"]["rows"]
    line = row["place"]["line"]
    text = (box.place / ".sandboxer/profiles/box.yaml").read_text().splitlines()
    assert (row["place"]["file"], text[line - 1].strip(), row["patch"]) == (".sandboxer/profiles/box.yaml", "- sched_yield", "")
    assert row["try"] == f"take the deny at .sandboxer/profiles/box.yaml:{line}:{row['place']['column']} out"


def test_layer_that_refuses_is_named_and_no_profile_can_widen_it(box: Box) -> None:
    box.profile("restrict:\n  - {seccomp: {deny: [sched_yield]}}\n")
    (row,) = explained(box, raw("sched_yield"))["denials"]["rows"]
    assert (row["patch"], row["place"]["file"]) == ("", ".sandboxer/profiles/box.yaml")
    assert "not widened by a profile" in row["try"]


def test_threads_and_children_are_counted_together(box: Box) -> None:
    data = explained(
        box,
        f"""
import threading
def refused():
    for _ in range(50):
        assert {raw("keyctl", 0, -3, 0, 0, 0)} == "EPERM"
threads = [threading.Thread(target=refused) for _ in range(4)]
for thread in threads:
    thread.start()
children = []
for _ in range(4):
    child = os.fork()
    if child == 0:
        refused()
        os._exit(0)
    children.append(child)
for thread in threads:
    thread.join()
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
""",
    )
    assert counts_of(data, "keyctl") == 400


def test_flood_is_counted_to_the_last_call_in_bounded_memory(box: Box) -> None:
    data = explained(
        box,
        f"""
number = ctypes.c_long({CALLS["keyctl"]})
for index in range(100_000):
    libc.syscall(number, index)
for call in range(3000, 3600):
    raw(call)
""",
    )
    rows = [row for row in data["denials"]["rows"] if row["call"] == "keyctl"]
    assert (sum(row["count"] for row in rows), len(rows)) == (100_000, 17)
    assert (data["denials"]["count"], data["denials"]["others"]) == (100_600, 600 - 127)


@needs("kernel>=5.19")
@pytest.mark.parametrize("restarts", [True, False])
def test_signals_do_not_change_the_count(box: Box, restarts: bool) -> None:
    """A signal in the moment before anybody has heard of the call takes it back: it is made again, or answers EINTR."""
    done, data = box.told(
        *box.python(f"""
hits, answers = [], []
signal.signal(signal.SIGALRM, lambda *_: hits.append(1))
signal.siginterrupt(signal.SIGALRM, {not restarts})
signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
for _ in range(3000):
    answers.append({raw("keyctl", 0, -3, 0, 0, 0)})
signal.setitimer(signal.ITIMER_REAL, 0)
print(json.dumps([len(hits), {{answer: answers.count(answer) for answer in set(answers)}}]))
"""),
        options=["--explain", "--quiet"],
    )
    hits, answers = json.loads(done.stdout)
    assert hits > 50
    assert set(answers) <= ({"EPERM"} if restarts else {"EPERM", "EINTR"})
    # Linux before 6.18 may take a call back in the moment after it was heard: then it is counted twice.
    assert answers["EPERM"] <= counts_of(data, "keyctl") <= answers["EPERM"] + (0 if this_host().kernel >= (6, 18) else hits)


def test_texts_from_inside_are_harmless_to_a_terminal(box: Box) -> None:
    code = (
        TEXT
        + f"""
libc.prctl(15, bytes([27, 91, 50, 74]) + b"name", 0, 0, 0)
{raw("umount2", 'text(bytes([27, 93, 48, 59, 7, 10, 255]) + "‮x".encode())', 0)}
"""
    )
    done = box.run(*box.python(code), options=["--explain"])
    assert 'umount2(name="\\x1b]0;\\x07\\n\\xff\\u202ex", flags=0)' in done.stderr
    assert "by:   \\x1b[2Jname, pid" in done.stderr
    assert not {"\x1b", "\x07", "\u202e"} & set(done.stderr)


def test_addresses_are_read(box: Box) -> None:
    box.profile("seccomp: {deny: [connect, bind, sendto]}\nnetwork: {mode: loopback}")
    data = explained(
        box,
        """
inet, inet6 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
local = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
attempt(inet.connect, ("127.0.0.1", 80))
attempt(inet6.connect, ("::1", 8080))
attempt(local.connect, "/run/x")
attempt(local.bind, bytes(1) + b"hidden")
attempt(inet.sendto, b"x", ("192.0.2.1", 53))
""",
    )
    texts = {row["call"] + " " + item["text"] for row in data["denials"]["rows"] for item in row["arguments"]}
    assert {
        "connect 127.0.0.1:80",
        "connect [::1]:8080",
        'connect unix socket "/run/x"',
        'bind abstract socket "hidden"',
        "sendto 192.0.2.1:53",
    } <= texts


# ── nothing else is changed ───────────────────────────────────────────────────────────────────────────────────────────


SAME = {
    "status": ["sh", "-c", "echo out; echo err >&2; exit 7"],
    "signal": ["sh", "-c", "echo out; kill -TERM $$"],
    "not found": ["nosuchprogram"],
    "not executable": ["/etc/passwd"],
    "nothing refused": ["true"],
    "descriptors": ["ls", "/proc/self/fd"],
    "input": ["cat"],
}


@pytest.mark.parametrize("name", SAME)
def test_output_and_status_are_the_same(box: Box, name: str) -> None:
    plain, watched = (box.run(*SAME[name], options=options, stdin="in") for options in ([], ["--explain", "--quiet"]))
    assert (watched.stdout, watched.stderr, watched.returncode) == (plain.stdout, plain.stderr, plain.returncode)


def test_answers_are_the_same(box: Box) -> None:
    box.profile("seccomp: {default_errno: EACCES, deny: [getpriority], errno: {ENOSYS: [getpriority], ENOENT: [mount]}}")
    tries = [raw("getpriority", 0, 0), raw("mount", 0, 0, 0, 0, 0), raw("bpf", 0, 0, 0), f"raw({UNKNOWN})", raw("clone3", 0, 0)]
    tries += [raw("sendmmsg", -1, 0, 0, 0), raw("seccomp", 2, 0, 0), raw("getpid") + " > 0"]
    code = f"print(json.dumps([{', '.join(tries)}]))"
    plain, watched = (box.run(*box.python(code), options=options).stdout for options in ([], ["--explain"]))
    assert json.loads(plain) == json.loads(watched)
    assert json.loads(plain)[:5] == ["ENOSYS", "ENOENT", "EACCES", "ENOSYS", "ENOSYS"]


@pytest.mark.parametrize("call", ["sendmmsg", "seccomp"])
def test_calls_that_hand_the_listener_over_are_refused_without_a_row(box: Box, call: str) -> None:
    box.profile(f"seccomp: {{deny: [{call}]}}")
    data = explained(box, f"assert {raw(call, -1, 0, 0, 0)} == 'EPERM'")
    assert data["denials"]["count"] == 0


@pytest.mark.parametrize("options", [(), ("--explain",)], ids=["plain", "explained"])
@needs("x86_64")
def test_foreign_call_ends_the_command_as_ever(box: Box, options: tuple[str, ...]) -> None:
    done, data = box.told(*box.python(f"raw({1 << 30 | 39})\nprint('on')"), options=[*options, "--quiet"])
    assert (done.stdout, done.returncode, data["reason"], data["signal"]) == ("", 128 + 31, "seccomp_kill", 31)
    told = [(row["call"], row["answer"], row["count"]) for row in (data["denials"] or {"rows": []})["rows"]]
    assert told == ([("x32 getpid", "killed", 1)] if options else [])


@needs("x86_64")
def test_foreign_call_of_one_thread_ends_its_process_and_no_other(box: Box) -> None:
    code = f"""
import threading
def foreign():
    threading.Thread(target=lambda: raw({1 << 30 | 39})).start()
    time.sleep(60)
seen["child"] = ended(foreign)
print(json.dumps(seen))
"""
    done, data = box.told(*box.python(code), options=["--explain", "--quiet"])
    assert (json.loads(done.stdout), done.returncode, data["reason"]) == ({"child": -9}, 0, "exited")
    assert counts_of(data, "x32 getpid") == 1


@pytest.mark.parametrize(
    "profile",
    ["process: {init: false}\n", "namespaces: {pid: host}\nprocess: {init: false}\n"],
    ids=["without an init", "with the host's process ids"],
)
def test_any_shape_of_process_tree_is_heard(box: Box, profile: str) -> None:
    box.profile(profile, policies=WITHOUT_PROC)
    code = f"child = os.fork()\n{raw('keyctl', 0, -3, 0, 0, 0)}\nchild and os.waitpid(child, 0)"
    assert counts_of(explained(box, code), "keyctl") == 2


def test_terminal_of_its_own_is_heard(box: Box) -> None:
    code = f"print(os.isatty(1), {raw('keyctl', 0, -3, 0, 0, 0)})"
    done, data = box.told(*box.python(code), options=["--explain", "--quiet", "--tty"])
    assert (done.stdout.split(), counts_of(data, "keyctl")) == (["True", "EPERM"], 1)


def test_smallest_limit_on_open_files_is_no_hindrance(box: Box) -> None:
    box.profile("limits: {open_files: 4}")
    script = "read line < /etc/hostname && echo $(ulimit -n)"
    plain, watched = (box.run("sh", "-c", script, options=options) for options in ([], ["--explain", "--quiet"]))
    assert (watched.stdout, watched.stderr, watched.returncode) == (plain.stdout, plain.stderr, plain.returncode)


# ── how it is told ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_text_is_for_people(box: Box) -> None:
    done = box.run(*box.python(raw("keyctl", 0, -3, 0, 0, 0) + "\nprint('out')"), options=["--explain"])
    assert done.stdout == "out\n"
    lines = plainly(done.stderr).splitlines()
    assert lines[:3] == [
        "sandboxer: 1 system call was refused (what mounts, modes and limits refuse is not seen)",
        "",
        "keyctl(option=KEYCTL_GET_KEYRING_ID, arg2=0xfffffffffffffffd, arg3=0, arg4=0, arg5=0) = EPERM, once",
    ]
    assert [line[2:6].strip() for line in lines[3:7]] == ["by:", "why:", "risk", "try:"]
    assert "nothing in the profile allows it (.sandboxer/profiles/box.yaml)" in lines[4]


def plainly(text: str) -> str:
    """The text without what depends on the machine and the caller: whether they hear of Landlock, and what is weakened."""
    told = re.sub(r"(?m)^sandboxer: weakened: .+\n", "", text).replace("mounts, Landlock, modes", "mounts, modes")
    return re.sub(r"\n\nsandboxer: what Landlock refused is not seen: .+\n\Z", "\n", told)


README_JOB = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.mount(b"none", b"/mnt", b"tmpfs", 2, b"size=1m")
libc.perror(b"mount")
os.sync()
"""


def test_readme_shows_what_is_printed(box: Box) -> None:
    box.write("job.py", README_JOB)
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    shown = readme.partition("$ sandboxer exec --explain -- python3 job.py\n")[2].partition("```")[0]
    assert "\n\nsandboxer: what Landlock refused is not seen: only root may" in shown
    printed = box.run("/usr/bin/python3", "job.py", options=["--explain"], profile="default").stderr
    printed, shown = plainly(printed), plainly(shown)
    pid, profile = re.compile(r"pid \d+"), re.compile(r"\(\S*profiles/default.yaml\)")
    assert pid.sub("pid", profile.sub("(default)", printed)) == pid.sub("pid", profile.sub("(default)", shown))


def test_nothing_refused_is_said(box: Box) -> None:
    done = box.run("true", options=["--explain"])
    assert plainly(done.stderr) == "sandboxer: no system call was refused (what mounts, modes and limits refuse is not seen)\n"


def test_why_landlock_is_not_heard_is_the_last_line(box: Box) -> None:
    """Of an ordinary user and of root where auditing is off; the twin is in tests/vm/suite."""
    host = this_host()
    last = box.run("true", options=["--explain"]).stderr.splitlines()[-1]
    if box.person.uid or host.unheard:
        reason = host.unheard if box.person.uid == host.uid or host.landlock_abi < LOG_ABI else "only root may read"
        assert last.startswith(f"sandboxer: what Landlock refused is not seen: {reason}")
    else:
        assert last.startswith("sandboxer: no system call")
    _, data = box.told("true", options=["--explain", "--quiet"])
    assert data["denials"]["landlock"]["is_heard"] == (not last.startswith("sandboxer: what Landlock"))


def test_json_line_has_the_denials(box: Box) -> None:
    done = box.run(*box.python(raw("keyctl", 0, -3, 0, 0, 0)), options=["--explain", "--json"])
    assert counts_of(json.loads(done.stderr), "keyctl") == 1
    assert json.loads(box.run("true", options=["--json"]).stderr)["denials"] is None
