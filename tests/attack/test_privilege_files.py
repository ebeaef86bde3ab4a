"""What a job could gain from files, descriptors, keys and variables: of its project, of the caller, and of a run before.

The project directory is the job's to write. So whatever lies in it may have been put there by a job of before, for the next run:
programs with privileges, links in the place of directories, modules and profiles with familiar names.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.attack.seats import Ended, Seat, take_report
from tests.live.leaks import adopt_orphans, read_traces, wait_until_gone
from tests.live.needs import needs
from tests.live.users import Person

CAPABILITIES = struct.pack("<IIIII", 0x02000001, 0x81, 0, 0, 0)  # vfs_cap_data, revision 2: cap_chown and cap_setuid, effective
CANARY = f"canary-{secrets.token_hex(8)}"


@pytest.fixture(autouse=True)
def watch(seat: Seat, actor: Path) -> Iterator[None]:
    """No process, mount or descriptor is left."""
    adopt_orphans()
    before = read_traces()
    yield
    assert wait_until_gone(before) == []


@pytest.fixture
def outside(seat: Seat) -> Iterator[Path]:
    """A directory of the same person's beside the project, which no profile here grants."""
    path = seat.person.directory(f"outside-{os.urandom(4).hex()}")
    (path / "secret").write_text(CANARY)
    seat.own(path / "secret")
    yield path
    assert sorted(entry.name for entry in path.iterdir()) == ["secret"]
    assert (path / "secret").read_text() == CANARY
    shutil.rmtree(path)


# ── programs with privileges ──────────────────────────────────────────────────────────────────────────────────────────


def plant(seat: Seat, probe: Path, kind: str) -> Path:
    """A program in the project that belongs to root and has privileges, as a build that ran as root could leave one."""
    path = seat.place / kind
    shutil.copy(probe, path)
    os.chown(path, 0, 0)
    path.chmod(0o6755 if kind == "both" else 0o755)
    if kind == "capabilities":
        os.setxattr(path, "security.capability", CAPABILITIES)
    return path


@needs("root")
@pytest.mark.parametrize("kind", ["both", "capabilities"])
@pytest.mark.parametrize("profile", ["python", "shell"])
def test_program_with_privileges_gives_none(seat: Seat, probe: Path, kind: str, profile: str) -> None:
    """Neither its bits nor its capabilities count in a box."""
    plant(seat, probe, kind)
    shutil.copy(probe, seat.place / "probe")
    ended = seat.run(["./probe", "run-privileged", f"./{kind}"], profile=profile)
    assert (ended.out, ended.status) == ("held EPERM\n", 0), ended.err
    assert seat.run([f"./{kind}", "gained"], profile=profile).status == 0


@needs("root")
@pytest.mark.parametrize("kind", ["both", "capabilities"])
def test_program_with_privileges_gives_them_outside(ordinary: Person, probe: Path, kind: str, seat: Seat) -> None:
    """The twin: the same file, the same ordinary user, no box."""
    path = plant(seat, probe, kind)
    moved = shutil.copytree(seat.place, ordinary.home / f"twin-{kind}-{os.urandom(4).hex()}") / kind
    moved.unlink()
    path.rename(moved)
    moved.parent.chmod(0o755)
    assert ordinary.run([moved, "gained"]).returncode == 42
    shutil.rmtree(moved.parent)


def test_job_cannot_make_a_program_with_privileges(seat: Seat) -> None:
    """For whoever runs it outside, later: what the job makes belongs to the caller, and so would the set-user-id bit."""
    seat.run(
        ["sh", "-c", "cp /bin/true mine; chmod 6755 mine; cp /bin/true other; chmod u+s other; install -m 4755 /bin/true third"]
    )
    found = [path for path in seat.place.iterdir() if path.is_file() and path.stat().st_mode & 0o6000]
    assert found == []


def test_job_can_make_a_program(seat: Seat) -> None:
    ended = seat.run(["sh", "-c", "cp /bin/echo mine; chmod 755 mine; ./mine works"])
    assert (ended.out, ended.status) == ("works\n", 0)


# ── keys, descriptors, variables ──────────────────────────────────────────────────────────────────────────────────────

KEYRINGS = "policies: [syscalls/keyring]\n"


@pytest.mark.parametrize("name", ["python", "keys"])
def test_keys_of_the_caller_are_not_found(seat: Seat, name: str) -> None:
    """A key in the caller's session keyring. Also where the profile allows the calls: a box has keyrings of its own."""
    seat.file(".sandboxer/profiles/keys.yaml", f"kind: profile\nname: keys\ndescription: k\nextends: [python]\n{KEYRINGS}")
    words = seat.words(["./actor", "find-key", CANARY], profile=name)
    done = seat.person.run(["./actor", "with-key", CANARY, *words], cwd=seat.place)
    found = {line.split()[0]: line.split()[2] for line in done.stdout.splitlines()}
    assert len(found) == 4, done.stderr
    assert "ok" not in found.values(), found
    if name == "python":
        assert set(found.values()) == {"EPERM"}


def test_keys_of_the_caller_are_found_outside(seat: Seat) -> None:
    done = seat.person.run(["./actor", "with-key", CANARY, "./actor", "find-key", CANARY], cwd=seat.place)
    assert "session 0 ok" in done.stdout, done.stdout


def run_with(seat: Seat, fds: dict[int, int], profile: str = "python", options: tuple[str, ...] = ()) -> Ended:
    """Run the actor with these descriptors: number in the caller -> what it is. `found` in the project tells what it had."""
    report = seat.person.home / "report-fds.json"
    words = seat.words(["./actor", "links", "found"], profile=profile, options=["--report", report, *options])
    moves = " ".join(f"{number}<&{source} {source}<&-" for number, source in fds.items())
    done = subprocess.run(
        [*seat.person.prefix, "bash", "-c", f'exec "$@" {moves}', "bash", *words],
        cwd=seat.place,
        env=seat.person.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        pass_fds=tuple(fds.values()),
        timeout=60,
    )
    return Ended(done.returncode, done.stdout, done.stderr, take_report(report))


def numbers(seat: Seat) -> list[int]:
    """The descriptors that the actor had."""
    return [int(line.split()[0]) for line in (seat.place / "found").read_text().splitlines()]


@pytest.fixture
def precious(seat: Seat, outside: Path) -> Iterator[dict[int, int]]:
    """Descriptors that callers leave open by mistake: directories, files, sockets, processes, memory."""
    ours, theirs = socket.socketpair()
    memory = os.memfd_create("memory")
    fds = [
        os.open("/", os.O_RDONLY | os.O_DIRECTORY),
        os.open("/", os.O_PATH),
        os.open(outside, os.O_RDONLY),
        os.open(outside / "secret", os.O_RDONLY),
        os.pidfd_open(os.getpid()),
        ours.fileno(),
        memory,
    ]
    # Out of the way of the numbers that they are to have.
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 300) for fd in fds]
    yield dict(zip((3, 4, 5, 9, 11, 63, 200), high, strict=True))
    for fd in (*fds, *high):
        if fd != ours.fileno():
            os.close(fd)
    ours.close()
    theirs.close()


def test_descriptors_of_the_caller_are_closed(seat: Seat, precious: dict[int, int]) -> None:
    assert run_with(seat, precious).status == 0
    assert numbers(seat) == [0, 1, 2]


def test_descriptor_that_is_listed_is_kept_alone(seat: Seat, precious: dict[int, int]) -> None:
    profile = seat.profile("listed", "process: {fds: [9]}\noptions: {fds: [200]}\n")
    assert run_with(seat, precious, profile).status == 0
    assert numbers(seat) == [0, 1, 2, 9]
    assert run_with(seat, precious, profile, ("--fd", "200")).status == 0
    assert numbers(seat) == [0, 1, 2, 9, 200]


def test_descriptor_that_the_profile_does_not_allow_is_refused(seat: Seat, precious: dict[int, int]) -> None:
    ended = run_with(seat, precious, options=("--fd", "9"))
    assert (ended.status, ended.reason) == (125, "setup_failed")
    assert not (seat.place / "found").exists()


@pytest.mark.parametrize("number", [3, 4, 5, 7])
def test_descriptor_that_is_listed_and_not_open_is_none_of_ours(seat: Seat, number: int) -> None:
    """The front has a report, a cache and pipes open by then; none of them may stand in for what the caller has not given."""
    profile = seat.profile("listed", f"process: {{fds: [{number}]}}\n")
    ended = run_with(seat, {}, profile)
    assert (ended.status, ended.reason) == (125, "setup_failed"), ended
    assert f"descriptor {number} is not open" in ended.err
    assert not (seat.place / "found").exists()


@pytest.mark.parametrize("stream", ["1", "2"])
def test_directory_is_no_standard_stream(seat: Seat, outside: Path, stream: str) -> None:
    """From a directory a job could go up and down in the host's tree, whatever its own root is."""
    words = seat.words(["sh", "-c", f"cat /proc/self/fd/{stream}/secret > found"])
    script = f'"$@" {stream}<{outside} {"2>said" if stream == "1" else ">said"}'
    done = seat.person.run(["bash", "-c", script, "bash", *words], cwd=seat.place)
    assert done.returncode in (1, 125)  # Python does not even start; a front that does is refused by the launcher
    assert not (seat.place / "found").exists()


LEAKS = {
    "SECRET": CANARY, "AWS_SECRET_ACCESS_KEY": CANARY, "SSH_AUTH_SOCK": CANARY, "LD_PRELOAD": f"/nonexistent/{CANARY}",
    "LD_LIBRARY_PATH": f"/nonexistent/{CANARY}", "PYTHONPATH": f"/nonexistent/{CANARY}", "BASH_ENV": f"/nonexistent/{CANARY}",
    "ENV": f"/nonexistent/{CANARY}", "DBUS_SESSION_BUS_ADDRESS": CANARY, "XDG_RUNTIME_DIR": f"/nonexistent/{CANARY}",
    "LC_LOOKS_HARMLESS": "passed", f"A{CANARY}": "1", "BASH_FUNC_ls%%": f"() {{ echo {CANARY}; }}",
}  # fmt: skip


@pytest.mark.parametrize("profile", ["python", "strict", "shell", "build"])
def test_variables_of_the_caller_are_not_seen(seat: Seat, profile: str) -> None:
    """In the command's own environment, in that of pid 1, and in memory that the launcher could have left."""
    script = "env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n'; export -p"
    ended = seat.run(["bash", "-c", script], profile=profile, env=LEAKS)
    assert CANARY not in ended.out
    assert ended.reason == "exited"


def test_variable_that_is_passed_arrives(seat: Seat) -> None:
    ended = seat.run(["sh", "-c", "echo $SECRET $LC_LOOKS_HARMLESS"], options=["--env", "SECRET"], env=LEAKS)
    assert ended.out == f"{CANARY} passed\n"


def test_value_on_the_command_line_is_not_kept(seat: Seat) -> None:
    """It may be a secret: it is neither in the report nor in the cache."""
    ended = seat.run(["sh", "-c", "echo $KEY"], options=["--env", f"KEY={CANARY}"])
    assert ended.out == f"{CANARY}\n"
    assert CANARY not in json.dumps(ended.report)
    cached = seat.person.home / ".cache"
    assert not [path for path in cached.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]


# ── files that a job left for the next run ────────────────────────────────────────────────────────────────────────────


def test_modules_in_the_project_are_not_imported_by_the_front(seat: Seat) -> None:
    """The front runs in that directory, as the caller."""
    evil = "import os\nopen('hijacked', 'a').write(__name__)\n"
    for name in (
        "sandboxer/__init__.py",
        "json.py",
        "termios.py",
        "_blake2.py",
        "sitecustomize.py",
        "usercustomize.py",
        "yaml/__init__.py",
    ):
        seat.file(name, evil)
    assert seat.run(["true"], options=["-v", "--no-cache"]).status == 0
    assert seat.run(["no-such-program"]).status == 127
    assert not (seat.place / "hijacked").exists()


def test_programs_in_the_project_are_not_run_by_the_front(seat: Seat) -> None:
    """Also when PATH has a dot in it, and for names that the front or the launcher could look for."""
    for name in ("newuidmap", "newgidmap", "sandboxer-launch", "python3", "env", "sh"):
        seat.file(name, "#!/bin/sh\ntouch hijacked\nexit 1\n", 0o755)
    assert seat.run(["/bin/true"], env={"PATH": ".:/usr/bin:/bin"}, options=["--no-cache"]).status == 0
    assert not (seat.place / "hijacked").exists()


def test_report_does_not_follow_what_a_job_left(seat: Seat, outside: Path) -> None:
    """A link under the report's name would have the front write where the link leads; a pipe would make it wait."""
    assert seat.run(["sh", "-c", f"ln -s {outside}/secret report; ln -s {outside}/new other; mkfifo pipe"]).status == 0
    for name in ("report", "other", "pipe"):
        done = seat.person.run(seat.words(["touch", "ran"], options=["--report", name]), cwd=seat.place)
        assert done.returncode == 125
        assert f"cannot write the report to {name}" in done.stderr
        assert not (seat.place / "ran").exists()


def test_report_goes_to_a_file_and_to_a_stream(seat: Seat) -> None:
    for name, reads in (("new.json", "new.json"), ("/dev/stdout", "out"), ("-", "out")):
        words = seat.words(["true"], options=["--report", name])
        seat.person.run(["bash", "-c", '"$@" > out', "bash", *words], cwd=seat.place)
        assert json.loads((seat.place / reads).read_text())["reason"] == "exited"


def test_profile_that_a_job_left_is_not_used(seat: Seat, outside: Path) -> None:
    """A familiar name in the project's own directory is refused, not obeyed."""
    text = f"kind: profile\nname: python\ndescription: planted\nextends: [shell]\nfilesystem: {{write: [{outside}]}}\n"
    seat.run(["sh", "-c", f"mkdir -p .sandboxer/profiles && printf '{text}' > .sandboxer/profiles/python.yaml"])
    done = seat.run(["sh", "-c", f"cat {outside}/secret; echo x > {outside}/secret"])
    assert CANARY not in done.out
    assert (done.status, done.reason) == (125, "setup_failed")


def test_working_directory_through_a_link_is_the_real_one(seat: Seat) -> None:
    """The caller went there by a link; what is granted is the directory, under its real name."""
    link = seat.person.home / f"link-{os.urandom(4).hex()}"
    link.symlink_to(seat.place)
    ended = seat.run(["sh", "-c", "pwd -P; echo made > file"], cwd=link, env={"PWD": str(link)})
    link.unlink()
    assert (ended.out, ended.status) == (f"{seat.place}\n", 0)
    assert (seat.place / "file").read_text() == "made\n"


def test_working_directory_that_is_gone_is_an_error(seat: Seat) -> None:
    """No box without the project that it was to have."""
    words = seat.words(["true"])
    done = seat.person.run(["sh", "-c", 'mkdir gone && cd gone && rmdir ../gone && exec "$@"', "sh", *words], cwd=seat.place)
    assert done.returncode == 125
    assert "sandboxer: " in done.stderr
    assert "Traceback" not in done.stderr


MOUNTED = """\
filesystem:
  mounts: [{from: "${cwd}/data", to: /data, access: [read, write]}]
  tmpfs: [{path: "${cwd}/cache", size: 1M}]
"""


def test_link_that_a_job_left_redirects_no_mount(seat: Seat, outside: Path) -> None:
    """A profile mounts a directory of the project elsewhere. A job of before puts a link to somewhere else in its place."""
    seat.file("data/file", "data")
    seat.file("cache/file", "cache")
    profile = seat.profile("mounted", MOUNTED)
    ended = seat.run(["sh", "-c", "cat /data/file; ls cache"], profile=profile)
    assert (ended.out, ended.status) == ("data", 0)
    assert seat.run(["sh", "-c", f"rm -r data cache; ln -s {outside} data; mkdir cache"]).status == 0
    ended = seat.run(["sh", "-c", "cat /data/secret; echo x > /data/planted; echo y > /data/secret"], profile=profile)
    assert (ended.status, ended.reason) == (125, "setup_failed")
    assert CANARY not in ended.out


def test_link_that_a_job_left_at_a_mount_point_stays_in_the_box(seat: Seat, outside: Path) -> None:
    """An empty directory is mounted where the job of before has put a link: what it covers, if anything, is of the box."""
    seat.file("data/file", "data")
    profile = seat.profile("mounted", MOUNTED)
    for target in (outside, "/etc", "../../../../.."):
        (seat.place / "cache").unlink(missing_ok=True)
        (seat.place / "cache").symlink_to(target)
        ended = seat.run(["sh", "-c", "echo x > cache/planted"], profile=profile)
        assert ended.reason in ("exited", "setup_failed")
        assert not Path("/etc/planted").exists()


GRANTED = """\
filesystem:
  {verb}: ["${{cwd}}/{name}{optional}"]
"""


@pytest.mark.parametrize("verb", ["read", "execute", "write"])
@pytest.mark.parametrize("optional", ["", "?"], ids=["required", "optional"])
def test_link_that_a_job_left_widens_no_grant(seat: Seat, outside: Path, verb: str, optional: str) -> None:
    """A grant below the project is no grant of what a link there leads to."""
    profile = seat.profile("granted", GRANTED.format(verb=verb, name="sub", optional=optional))
    assert seat.run(["sh", "-c", f"ln -s {outside} sub"]).status == 0
    ended = seat.run(["sh", "-c", f"cat sub/secret {outside}/secret; echo x > sub/planted"], profile=profile)
    assert CANARY not in ended.out
    assert ended.reason == ("exited" if optional else "setup_failed")


def test_link_within_the_project_is_followed(seat: Seat) -> None:
    """The twin: where it leads is the job's anyway."""
    seat.file("real/file", "data")
    (seat.place / "sub").symlink_to("real")
    profile = seat.profile("granted", GRANTED.format(verb="read", name="sub", optional=""))
    assert seat.run(["cat", "sub/file", "real/file"], profile=profile).out == "datadata"


# ── a job that moves directories while another box is set up ──────────────────────────────────────────────────────────

RACER = """
import os, sys
outside = sys.argv[1]
print("racing", flush=True)
while not os.path.exists("stop"):
    os.rename("work", "aside")
    os.symlink(outside, "work")
    os.unlink("work")
    os.mkdir("work")
    os.rmdir("work")
    os.rename("aside", "work")
"""


@pytest.mark.parametrize(("rounds", "options"), [(100, ()), (16, ("--no-cache",))], ids=["warm", "cold"])
def test_directory_that_is_moved_during_a_start_leads_nowhere_else(
    seat: Seat, outside: Path, rounds: int, options: tuple[str, ...]
) -> None:
    """One job owns the directory above, and swaps the working directory of the other box for a link, as fast as it can."""
    seat.file("race.py", RACER)
    seat.file("work/inside", "inside")
    results: list[str] = []

    def one(_: int) -> None:
        # In the directory itself, by a descriptor: its name may lead elsewhere at any moment.
        words = [*seat.person.prefix, *seat.words(["sh", "-c", "ls; cat secret; echo x > planted"], options=options)]
        done = subprocess.run(
            words,
            cwd=f"/proc/{os.getpid()}/fd/{directory}",
            env=seat.person.environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert CANARY not in done.stdout, done
        assert "Traceback" not in done.stderr, done
        results.append("ran" if done.returncode in (0, 1) else done.stderr.splitlines()[0])

    directory = os.open(seat.place / "work", os.O_PATH)
    with seat.start(["python3", "race.py", str(outside)]) as racer:
        assert racer.stdout is not None
        assert racer.stdout.readline() == b"racing\n"
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(one, range(rounds)))
        (seat.place / "stop").touch()
        racer.communicate(timeout=60)
    os.close(directory)
    print({what: results.count(what) for what in results})
    assert len(results) == rounds
    assert threading.active_count() < 50
