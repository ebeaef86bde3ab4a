"""`exec --explain` where the kernel records what Landlock refuses: as root, with audit=1. Each refusal has its allowed twin."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from sandboxer.kernel.audit.log import AuditLog
from sandboxer.kernel.audit.mark import make_mark
from sandboxer.kernel.audit.records import Access, DomainMade
from sandboxer.kernel.probe import probe
from tests.live.boxes import Box

CONNECT = """
def connect(address, family=socket.AF_INET):
    with socket.socket(family) as made:
        made.connect(address)
"""
RULES = "landlock: {connect_tcp: [4001]}\nnetwork: {mode: host}\n"


@pytest.fixture
def server() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made.getsockname()[1]


def explained(box: Box, code: str, *options: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the job saw, and what is told of Landlock."""
    done, data = box.told(*box.python(f"{CONNECT}{code}\nprint(json.dumps(seen))"), options=["--explain", "--quiet", *options])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), data["denials"]["landlock"]


def words(found: dict[str, Any]) -> dict[str, int]:
    return {row["words"]: row["count"] for row in found["rows"]}


def apply(box: Box, rules: str, found: dict[str, Any]) -> None:
    """Build a profile on the one that was told what it lacks."""
    (patch,) = {row["patch"] for row in found["rows"]}
    box.profile(rules, name="ground")
    text = f"kind: profile\nname: box\ndescription: patched\nextends: [ground]\n{patch}\n"
    box.write(".sandboxer/profiles/box.yaml", text)


def test_machine_is_one_where_landlock_is_heard() -> None:
    assert probe().unheard == ""


def test_port_is_told_and_the_patch_opens_it(box: Box, server: int) -> None:
    box.profile(RULES)
    code = f'seen = [attempt(connect, ("127.0.0.1", {server})) for _ in range(3)]'
    seen, found = explained(box, code)
    assert seen == ["EACCES"] * 3
    assert words(found) == {f"net.connect_tcp: port {server} (127.0.0.1)": 3}
    (row,) = found["rows"]
    assert (row["port"], row["section"], row["place"]["file"]) == (server, "landlock", ".sandboxer/profiles/box.yaml")
    assert (row["process"][:6], found["is_heard"], found["losses"]) == ("python", True, [])
    assert row["pid"] > 1
    apply(box, RULES, found)
    seen, found = explained(box, code)
    assert (seen, found["rows"], found["count"]) == (["ok"] * 3, [], 0)


def test_box_without_a_network_is_told_to_have_one(box: Box) -> None:
    code = """
with socket.socket() as server:
    seen = attempt(server.bind, ("127.0.0.1", 4002))
"""
    seen, found = explained(box, code)
    assert (seen, words(found)) == ("EACCES", {"net.bind_tcp: port 4002 (127.0.0.1)": 1})
    apply(box, "", found)
    seen, found = explained(box, code)
    assert (seen, found["count"]) == ("ok", 0)


def test_server_on_a_socket_is_told_with_its_path_and_the_patch_lets_it_be_reached(box: Box) -> None:
    place = box.person.directory("servers")
    place.chmod(0o755)
    rules = f"filesystem: {{read: ['{place}']}}\n"
    box.profile(rules)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place / "a server"))
        server.listen()
        (place / "a server").chmod(0o777)
        code = f'seen = attempt(connect, "{place}/a server", socket.AF_UNIX)'
        seen, found = explained(box, code)
        assert (seen, words(found)) == ("EACCES", {f'fs.resolve_unix: "{place}/a server"': 1})
        apply(box, rules, found)
        seen, found = explained(box, code)
        assert (seen, found["count"]) == ("ok", 0)
    (place / "a server").unlink()
    place.rmdir()


def test_signal_to_pid_1_is_told_and_a_signal_inside_is_not(box: Box) -> None:
    code = """
child = os.fork()
if not child:
    time.sleep(60)
seen = [attempt(os.kill, child, 9), attempt(os.kill, 1, 9)]
os.waitpid(child, 0)
"""
    seen, found = explained(box, "import time\n" + code)
    assert (seen, list(words(found).values())) == (["ok", "EPERM"], [1])
    (row,) = found["rows"]
    assert (row["rights"], row["section"]) == (["scope.signal"], "landlock")
    apply(box, "", found)
    seen, found = explained(box, "import time\n" + code)
    assert found["count"] == 0


def test_refusals_of_a_layer_are_told_as_its_own(box: Box, server: int) -> None:
    box.policy("landlock: {connect_tcp: [4001]}\n", name="narrow")
    box.profile(f"network: {{mode: host}}\nlandlock: {{connect_tcp: [4001, {server}]}}\nrestrict: [narrow]\n")
    seen, found = explained(box, f'seen = attempt(connect, ("127.0.0.1", {server}))')
    (row,) = found["rows"]
    assert (seen, row["patch"], row["count"]) == ("EACCES", "", 1)
    assert "the layer narrow" in row["rule"]


def test_nothing_but_our_own_box_is_heard(box: Box, server: int) -> None:
    """Another watched box is refused the same at the same time."""
    box.profile(RULES)
    other = f'import time\nfor _ in range(40):\n    attempt(connect, ("127.0.0.1", {server}))\n    time.sleep(0.02)'
    box.profile(RULES, name="loud")
    loud = subprocess.Popen(box.words(box.python(CONNECT + other), ["--explain", "--quiet"], "loud"), cwd=box.place)
    try:
        seen, found = explained(box, f'seen = attempt(connect, ("127.0.0.1", {server}))')
    finally:
        assert loud.wait() == 0
    assert (seen, found["count"]) == ("EACCES", 1)


def test_domain_that_the_job_makes_itself_is_its_own_business(box: Box, server: int) -> None:
    box.profile(RULES, policies=("box/application", "filesystem/project-write", "syscalls/self-restrict"))
    code = f"""
import ctypes, struct
libc = ctypes.CDLL(None, use_errno=True)
seen = [attempt(connect, ("127.0.0.1", {server}))]
rules = libc.syscall(444, struct.pack("=QQQ", 0, 2, 0), 24, 0)
seen.append(libc.syscall(446, rules, 0))
seen.append(attempt(connect, ("127.0.0.1", 4001)))
"""
    seen, found = explained(box, code)
    assert (seen, words(found)) == (["EACCES", 0, "EACCES"], {f"net.connect_tcp: port {server} (127.0.0.1)": 1})


def test_flood_is_bounded_and_what_is_lost_of_it_is_told(box: Box) -> None:
    """The kernel keeps 64 records at a time, and even the one with the number of all may be lost."""
    code = """
for number in range(1500):
    with socket.socket() as made:
        attempt(made.bind, ("127.0.0.1", 1024 + number))
seen = True
"""
    _, found = explained(box, code)
    assert 16 <= len(found["rows"]) <= 17
    assert found["count"] == 1500 or found["losses"]
    assert found["count"] <= 1500


def test_names_from_inside_are_escaped(box: Box) -> None:
    code = r"""
seen = attempt(connect, "\0evil\x1b[2J\n name=\"x\" blockers=fs.refer", socket.AF_UNIX)
"""
    box.profile("network: {mode: host}\n")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(b'\0evil\x1b[2J\n name="x" blockers=fs.refer')
        server.listen()
        seen, found = explained(box, code)
        done = box.run(*box.python(CONNECT + code), options=["--explain"])
    (row,) = found["rows"]
    assert (seen, row["rights"]) == ("EPERM", ["scope.abstract_unix_socket"])
    assert row["thing"] == r'abstract socket "evil\x1b[2J\n name=\"x\" blockers=fs.refer"'
    assert all(line.isprintable() for line in done.stderr.splitlines())


def test_text_has_no_line_that_says_landlock_is_not_seen(box: Box, server: int) -> None:
    box.profile(RULES)
    done = box.run(*box.python(CONNECT + f'attempt(connect, ("127.0.0.1", {server}))'), options=["--explain"])
    lines = done.stderr.splitlines()
    assert lines[0] == "sandboxer: no system call was refused (what mounts, modes and limits refuse is not seen)"
    assert lines[2] == "sandboxer: Landlock refused once"
    assert "is not seen:" not in done.stderr


def test_run_that_is_not_watched_writes_nothing_into_the_log(box: Box, server: int) -> None:
    box.profile(RULES)
    code = box.python(CONNECT + f'attempt(connect, ("127.0.0.1", {server}))')
    with AuditLog() as log:
        assert box.run(*code).returncode == 0
        assert made_domains(log) == 0
        assert box.run(*code, options=["--explain"]).returncode == 0
        assert made_domains(log) >= 3  # of the box, and of two marks


def made_domains(log: AuditLog) -> int:
    """How many domains the log tells of, up to a mark of ours."""
    mark, found = make_mark(), 0
    while True:
        is_there, record = log.receive()
        if isinstance(record, Access) and (record.address, record.port) == (mark.address, mark.port):
            return found
        found += isinstance(record, DomainMade)
        if not is_there:
            os.sched_yield()
