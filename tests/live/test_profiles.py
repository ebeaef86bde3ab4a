"""Every shipped profile, for root and for an ordinary user: typical programs work, and what it does not grant stays refused."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandboxer.compile.search import shipped_directory
from tests.live.boxes import Box
from tests.live.inside import PRELUDE
from tests.live.needs import no_network

PROFILES = ("build", "ci-job", "default", "node", "package-install", "python", "shell", "strict")
WRITE_THE_PROJECT = {"build", "ci-job", "node", "package-install", "python"}
RUN_NEW_PROGRAMS_IN_TMP = {"build", "ci-job", "package-install"}
EVERYWHERE = ["HOME", "LANG", "LOGNAME", "PATH", "TERM", "USER"]
MORE_VARIABLES = {
    "build": [],
    "ci-job": ["CI", "PYTHONDONTWRITEBYTECODE"],
    "node": ["NODE_REPL_HISTORY", "NO_UPDATE_NOTIFIER", "NPM_CONFIG_UPDATE_NOTIFIER"],
    "package-install": ["NPM_CONFIG_UPDATE_NOTIFIER", "PIP_DISABLE_PIP_VERSION_CHECK"],
    "python": ["PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"],
    "shell": ["PS1"],
}

ATTEMPTS = r"""
place, home, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
own = os.environ["HOME"]

def connect(family, address):
    with socket.socket(family) as one:
        one.settimeout(5)
        one.connect(address)

def serve_oneself():
    with socket.create_server(("127.0.0.1", 0)) as server:
        connect(socket.AF_INET, server.getsockname())

def run_new(path):
    write(path, "#!/bin/sh\nexit 0\n")
    os.chmod(path, 0o700)
    execute(path)

seen["start"] = os.getcwd() == place
seen["project"] = [attempt(read, f"{place}/text"), attempt(write, f"{place}/new"), attempt(execute, f"{place}/program")]
seen["guarded"] = [attempt(write, f"{place}/{name}") for name in (".git/config", ".git/commondir", ".envrc")]
seen["moved"] = [attempt(os.rename, f"{place}/{name}", f"{place}/moved") for name in (".git", ".envrc")]
seen["secrets"] = [attempt(read, path) for path in (f"{place}/.env", f"{home}/.ssh/id", f"{home}/.netrc")]
seen["home"] = attempt(read, f"{home}/notes")
seen["outside"] = [attempt(write, path) for path in (f"{place}/../x", f"{home}/x", "/usr/x", "/etc/x", "/x")]
seen["own"] = [attempt(write, f"{directory}/x") for directory in ("/tmp", "/var/tmp", "/dev/shm", own)]
seen["tmp program"] = attempt(run_new, "/tmp/program")
seen["network"] = [attempt(connect, socket.AF_INET, ("127.0.0.1", port)), attempt(serve_oneself)]
seen["calls"] = {
    "unshare a user namespace": raw(272, 0x10000000),
    "mount": raw(165, 0, 0, 0, 0, 0),
    "trace the parent": raw(101, 16, os.getppid(), 0, 0),
    "key": raw(250, 0, -3, 1),
    "bpf": raw(321, 0, 0, 0),
    "io_uring": raw(425, 1, 0),
}
seen["become root"] = attempt(os.setuid, 0)
seen["rights"] = [status(name)[0] for name in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")]
seen["variables"] = sorted(os.environ)
seen["mine"] = [os.environ["HOME"], os.environ["USER"], os.environ["LANG"], os.getuid()]
print(json.dumps(seen))
"""

PYTHON = r"""
import asyncio, getpass, locale, multiprocessing, os, pathlib, socket
import sqlite3, ssl, subprocess, sys, tempfile, threading, time, zoneinfo
from multiprocessing import shared_memory

def double(number):
    return 2 * number

async def echo():
    child = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    return (await child.communicate(b"words"))[0]

def main():
    threads = [threading.Thread(target=double, args=(number,)) for number in range(40)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(double, range(4)) == [0, 2, 4, 6]
    with multiprocessing.Semaphore(1):
        block = shared_memory.SharedMemory(create=True, size=65536)
        block.close()
        block.unlink()
    assert asyncio.run(echo()) == b"words"
    with sqlite3.connect("base.db") as base:
        base.execute("PRAGMA journal_mode=WAL")
        base.execute("CREATE TABLE t (x)")
    with tempfile.TemporaryDirectory() as directory:
        pathlib.Path(directory, "file").write_text("x")
    assert subprocess.run("echo $((6*7)) | cat", shell=True, capture_output=True).stdout == b"42\n"
    assert zoneinfo.ZoneInfo("Europe/Berlin").utcoffset(None) is None
    assert locale.setlocale(locale.LC_ALL, "") and sys.stdout.encoding == "utf-8"
    assert (getpass.getuser(), pathlib.Path.home()) == ("sandbox", pathlib.Path("/home/sandbox"))
    one, other = socket.socketpair()
    one.send(b"x")
    assert other.recv(1) == b"x" and ssl.create_default_context() and os.cpu_count() and time.tzname
    print("done")

if __name__ == "__main__":
    main()
"""

NODE = r"""
const { Worker } = require('worker_threads'), fs = require('fs'), os = require('os'), assert = require('assert');
assert.equal(require('child_process').execSync('echo words').toString(), 'words\n');
require('crypto').scryptSync('a', 'b', 32);
fs.writeFileSync('made', 'x');
fs.rmSync(fs.mkdtempSync(os.tmpdir() + '/x'), { recursive: true });
assert.equal(os.userInfo().username, 'sandbox');
new Worker('require("worker_threads").parentPort.postMessage(42)', { eval: true }).on('message', () => console.log('done'));
"""

BUILD = r"""
echo 'int answer(void) { return 42; }' > answer.c
cat > main.c <<'END'
#include <math.h>
#include <stdio.h>
int answer(void);
int main(void) { printf("%d\n", answer() + (int)sqrt(0)); }
END
printf 'program: main.o libanswer.a\n\t$(CC) -o $@ main.o -L. -lanswer -lm\n' > Makefile
printf 'libanswer.a: answer.o\n\tar rcs $@ $^\n' >> Makefile
make -s -j2 program && strip program && ./program
cp program /tmp && /tmp/program && cp program ~ && ~/program
cc -shared -fPIC -o libanswer.so answer.c && cc -o other main.c ./libanswer.so -lm && ./other
"""

SHELL = r"""
find . -name 'te*' | sort | xargs grep -h words | sed s/words/more/ | awk '{ print $1 }'
tar cf - text | tar tf - && test "$(cat text | sort | uniq -c | wc -l)" = 1
perl -e 'print join(",", map { $_ * 2 } 1..3), "\n"'
"""

LOOK_AROUND = (
    "grep -c ^root: /etc/passwd; test -d /var/lib; test -d /sys/class; ls /etc/shadow > /dev/null; id -u; stat -c %F /proc/1"
)

PROGRAMS: tuple[tuple[str, str, tuple[str, ...], str, str], ...] = (
    ("default", "sh", ("sh", "-euc", SHELL), "", "more\ntext\n2,4,6\n"),
    ("python", "python3", ("python3", "job.py"), PYTHON, "done\n"),
    ("ci-job", "python3", ("python3", "job.py"), PYTHON, "done\n"),
    ("strict", "python3", ("python3", "-c", "print(sum(range(10)), 10**20)"), "", f"45 {10**20}\n"),
    ("node", "node", ("node", "job.js"), NODE, "done\n"),
    ("ci-job", "node", ("node", "job.js"), NODE, "done\n"),
    ("build", "cc", ("sh", "-euc", BUILD), "", "42\n" * 4),
    ("package-install", "cc", ("sh", "-euc", BUILD), "", "42\n" * 4),
    ("shell", "sh", ("sh", "-euc", LOOK_AROUND), "", "1\n1000\ndirectory\n"),
)
"""Profile, the program that the machine must have, the command, the text of its script, what it prints."""
THERE = [row for row in PROGRAMS if shutil.which(row[1])]


@pytest.fixture
def host_port() -> Iterator[int]:
    """A port of the host's loopback on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def project(box: Box) -> Box:
    """A project with a program, a repository and a secret in it, and a home with secrets beside it."""
    box.write("text", "words\n")
    box.write("program", "#!/bin/sh\nexit 0\n", mode=0o755)
    for name in (".git/config", ".envrc", ".env"):
        box.write(name, "x", mode=0o600)
    for name in (".ssh/id", ".netrc", "notes"):
        path = box.person.home / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
        for one in (path, path.parent):
            os.chown(one, box.person.uid, box.person.gid)
    return box


def attempts(box: Box, profile: str, port: int) -> dict[str, Any]:
    """What a job under this profile could do, and the names of the errnos for what it could not."""
    arguments = (str(box.place), str(box.person.home), str(port))
    done = box.run("python3", "-I", "-S", "-c", PRELUDE + ATTEMPTS, *arguments, profile=profile, env={"SECRET_TOKEN": "x"})
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("profile", PROFILES)
def test_profile_gives_what_it_says_and_refuses_the_rest(project: Box, profile: str, host_port: int) -> None:
    seen = attempts(project, profile, host_port)
    writes = profile in WRITE_THE_PROJECT
    shown = profile != "strict"
    refused = "EROFS" if shown else "ENOENT"

    assert seen["start"] is shown
    assert seen["project"] == (["ok", "ok" if writes else refused, "ok"] if shown else ["ENOENT"] * 3)
    assert seen["guarded"] == [refused] * 3
    assert seen["moved"] == (["EBUSY"] * 2 if writes else [refused] * 2)
    assert set(seen["secrets"]) <= {"EACCES", "ENOENT"}
    assert seen["home"] == ("ok" if profile == "shell" else "ENOENT")
    assert set(seen["outside"]) <= {"EROFS", "EACCES", "ENOENT"}
    assert seen["own"] == ["ok"] * 4
    assert seen["tmp program"] == ("ok" if profile in RUN_NEW_PROGRAMS_IN_TMP else "EACCES")
    assert seen["network"] == {
        "package-install": ["ok", "ok"],
        "ci-job": ["ECONNREFUSED", "ok"],
        "strict": ["EPERM", "EPERM"],
    }.get(profile, [no_network()] * 2)
    assert set(seen["calls"].values()) == {"EPERM"}, seen["calls"]
    assert seen["become root"] == "EINVAL"  # there is no such id inside
    assert seen["rights"] == ["0" * 16, "0" * 16, "1", "2"]
    assert seen["variables"] == sorted(EVERYWHERE + MORE_VARIABLES.get(profile, []))
    assert seen["mine"] == ["/home/sandbox", "sandbox", "C.UTF-8", 1000]


@pytest.mark.parametrize(("profile", "needed", "command", "script", "printed"), THERE, ids=lambda value: str(value)[:15])
def test_typical_program_works(box: Box, profile: str, needed: str, command: tuple[str, ...], script: str, printed: str) -> None:
    box.write("text", "words\n")
    if script:
        box.write(command[-1], script)
    assert box.output(*command, profile=profile) == printed


def test_fork_bomb_ends_at_the_limit_and_twin_below_it_works(box: Box) -> None:
    code = "for _ in range(int(sys.argv[1])):\n    if os.fork() == 0:\n        time.sleep(60)\nprint('all')"
    command = ("python3", "-I", "-S", "-c", PRELUDE + code)
    assert box.run(*command, "600", profile="python").stdout == ""
    assert box.output(*command, "50", profile="python") == "all\n"


def test_memory_ends_at_the_limit_and_the_caller_can_raise_it(box: Box) -> None:
    command = ("python3", "-c", "print(len(bytearray(300 << 20)) >> 20)")
    assert "MemoryError" in box.run(*command, options=["--set", "memory=200M"], profile="python").stderr
    assert box.output(*command, options=["--set", "memory=600M"], profile="python") == "300\n"


def test_language_of_the_caller_comes_in_where_there_is_one(box: Box) -> None:
    assert box.run("printenv", "LANG", profile="python", env={"LANG": "C"}).stdout == "C\n"


def test_every_shipped_profile_is_tried_here() -> None:
    assert sorted(path.stem for path in Path(shipped_directory(), "profiles").glob("*.yaml")) == sorted(PROFILES)
