"""What no filter refuses, and `--explain` does not see: the error that a job gets, and the line of a profile that ends it.

The rows are those of the README's table, but for devices, which test_devices.py has. Each is its own twin: the error without
the line, none with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.live.boxes import Box

GROUND = ("box/application",)


@dataclass(frozen=True, slots=True)
class Unseen:
    """Code that a job runs, what it answers without a line in the profile and with it, and what the profile says besides.

    {place}: a directory of the caller's that the profile does not name by itself.
    """

    code: str
    errors: frozenset[str]
    line: str
    answer: str = "ok"
    given: str = ""


def row(code: str, errors: str, line: str, answer: str = "ok", given: str = "") -> Unseen:
    return Unseen(code, frozenset(errors.split()), line, answer, given)


READ = "filesystem: {{read: ['{place}']}}"
LOOPBACK = "network: {{mode: loopback}}"
PRIVILEGED = "capabilities: {{keep: [CAP_NET_BIND_SERVICE], ambient: [CAP_NET_BIND_SERVICE]}}"
ROWS = {
    "to read a path": row("attempt(read, '{place}/file')", "ENOENT", READ),
    "to write there": row("attempt(write, '{place}/file')", "EROFS", "filesystem: {{write: ['{place}']}}", given=READ),
    "to run it": row("attempt(execute, '{place}/program')", "EACCES", "filesystem: {{execute: ['{place}']}}", given=READ),
    "a network": row("attempt(socket.create_connection, ('127.0.0.1', 9))", "EACCES ENETUNREACH", LOOPBACK, "ECONNREFUSED"),
    "a capability": row("attempt(socket.socket().bind, ('127.0.0.1', 80))", "EACCES", PRIVILEGED, given=LOOPBACK),
    "more of something": row("attempt(lambda: [os.dup(0) for _ in range(40)])", "EMFILE", "limits: {{open_files: 64}}"),
}
WITHOUT = {"more of something": "limits: {open_files: 32}"}


@pytest.mark.parametrize("wanted", ROWS)
def test_error_that_is_not_seen_ends_with_its_line(box: Box, wanted: str) -> None:
    unseen = ROWS[wanted]
    box.write("shown/file", "text")
    box.write("shown/program", "#!/bin/sh\n", mode=0o755)
    place = str(box.place / "shown")
    code = f"seen['answer'] = {unseen.code.format(place=place)}"
    box.profile(f"{unseen.given.format(place=place)}\n{WITHOUT.get(wanted, '')}\n", policies=GROUND)
    done, data = box.told(*box.python(code + "\nprint(seen['answer'])"), options=["--explain", "--quiet"])
    assert done.stdout.strip() in unseen.errors, done.stdout + done.stderr
    assert {refused["call"] for refused in data["denials"]["rows"]} <= {"clone3"}  # whoever starts a process tries that first
    given = unseen.given.format(place=place) if "filesystem" not in unseen.line else ""
    box.profile(f"{given}\n{unseen.line.format(place=place)}\n", policies=GROUND)
    assert box.look(code)["answer"] == unseen.answer
