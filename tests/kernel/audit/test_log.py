"""The audit log, as far as it can be asked without one that is on; the rest is in tests/vm/suite."""

from __future__ import annotations

import errno
import os
import socket
import struct
from pathlib import Path

import pytest

from sandboxer.abi import audit
from sandboxer.abi.capabilities import Capability
from sandboxer.kernel.audit import log
from sandboxer.kernel.audit.log import AuditLog, Status, find_audit_problem, find_refusal
from sandboxer.kernel.audit.records import DomainGone
from sandboxer.kernel.lsm import selinux

READ, CONTROL = 1 << Capability.AUDIT_READ, 1 << Capability.AUDIT_CONTROL
GONE = b"audit(1.2:3): domain=a status=deallocated denials=3"


class Wire:
    """A socket that has something to say."""

    def __init__(self, *says: bytes | OSError, sender: int = 0) -> None:
        self.says = list(says)
        self.sender = sender

    def recvfrom(self, size: int, flags: int) -> tuple[bytes, tuple[int, int]]:
        if not self.says:
            raise BlockingIOError
        said = self.says.pop(0)
        if isinstance(said, OSError):
            raise said
        return said, (self.sender, 1)

    def close(self) -> None: ...


def message(kind: int, text: bytes) -> bytes:
    return struct.pack("=IHHII", len(text), kind, 0, 0, 0) + text


def reading(*says: bytes | OSError, sender: int = 0) -> AuditLog:
    found = AuditLog.__new__(AuditLog)
    found._socket = Wire(*says, sender=sender)  # type: ignore[assignment]
    found.is_overrun = False
    found.received = 0
    return found


def test_record_is_read() -> None:
    found = reading(message(audit.LANDLOCK_DOMAIN, GONE))
    assert found.receive() == (True, DomainGone(10, 3))
    assert found.receive() == (False, None)
    assert (found.is_overrun, found.received) == (False, 1)


def test_other_records_are_passed_over() -> None:
    assert reading(message(1334, b"audit(1.2:3): prog-id=1 op=LOAD")).receive() == (True, None)


def test_message_of_another_process_is_none_of_the_kernel() -> None:
    assert reading(message(audit.LANDLOCK_DOMAIN, GONE), sender=77).receive() == (True, None)


def test_message_that_is_cut_is_nothing() -> None:
    assert reading(b"\0\0").receive() == (True, None)


def test_records_that_did_not_fit_are_known_to_be_lost() -> None:
    found = reading(OSError(errno.ENOBUFS, "full"), message(audit.LANDLOCK_DOMAIN, GONE))
    assert found.receive() == (True, None)
    assert found.is_overrun
    assert found.receive() == (True, DomainGone(10, 3))


def answering(monkeypatch: pytest.MonkeyPatch, answer: Status | OSError) -> None:
    def read() -> Status:
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(log, "read_status", read)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Status(is_on=True, lost=0, has_daemon=False), ""),
        (Status(is_on=False, lost=0, has_daemon=False), "auditing is off"),
        (ConnectionRefusedError(), "first user namespace"),
        (PermissionError(), "another pid namespace"),
        (OSError(errno.EPROTONOSUPPORT, "none"), "no audit log"),
    ],
)
def test_state_of_auditing_is_said(monkeypatch: pytest.MonkeyPatch, answer: Status | OSError, problem: str) -> None:
    answering(monkeypatch, answer)
    found = find_audit_problem(READ | CONTROL)
    assert problem in found
    assert bool(problem) == bool(found)


def test_who_may_read_and_is_not_told_the_state_has_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, PermissionError())
    assert find_audit_problem(READ) == ""


def test_who_may_not_read_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, AssertionError())  # type: ignore[arg-type]
    assert "only root" in find_audit_problem(CONTROL)


@pytest.mark.parametrize(
    ("enforce", "known", "refusal"),
    [("1", "0", True), ("1", "1", False), ("0", "0", False)],
    ids=["denied", "allowed", "permissive"],
)
def test_what_selinux_does_not_let_root_read_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, enforce: str, known: str, refusal: bool
) -> None:
    """As the kernel's files answer: the permission is the first bit of its class."""
    perms = tmp_path / "class/capability2/perms"
    perms.mkdir(parents=True)
    told = {"policyvers": "33", "enforce": enforce, "own": "u:r:login_t:s0", "class/capability2/index": "6"}
    for name, text in (*told.items(), ("class/capability2/perms/audit_read", "1")):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(selinux, "ROOT", str(tmp_path))
    monkeypatch.setattr(selinux, "OWN_CONTEXT", str(tmp_path / "own"))
    monkeypatch.setattr(log, "find_missing", lambda *asked: () if known == "1" else asked[3])
    answering(monkeypatch, Status(is_on=True, lost=0, has_daemon=False))
    found = find_audit_problem(READ | CONTROL)
    assert found == ("SELinux does not let login_t read the kernel's audit log (capability2 audit_read)" if refusal else "")
    assert find_refusal(CONTROL) == ""


def test_asking_leaves_no_descriptor_and_changes_nothing() -> None:
    before = os.listdir("/proc/self/fd")
    first = find_audit_problem(READ | CONTROL)
    assert find_audit_problem(READ | CONTROL) == first
    assert os.listdir("/proc/self/fd") == before


def test_netlink_family_is_that_of_the_kernel() -> None:
    """include/uapi/linux/netlink.h; Python has no name for it."""
    assert (audit.NETLINK_AUDIT, socket.AF_NETLINK) == (9, 16)
