"""What SELinux would take away, of a policy in files that a test wrote. The kernel's own answers: tests/vm/selinux."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from sandboxer.kernel.lsm import handed
from sandboxer.kernel.lsm.handed import find_lost, find_missing, is_valid

COMMAND = "u:r:box_t:s0:c1,c2"
PERMISSIONS = ("ioctl", "read", "write", "getattr", "append")
CLASSES = ("file", "dir", "chr_file", "fifo_file", "unix_stream_socket", "unix_dgram_socket", "tcp_socket", "udp_socket")


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory in which the kernel's files are: a policy that is enforced, and knows some classes."""
    (tmp_path / "enforce").write_text("1")
    for name in ("access", "context"):
        (tmp_path / name).touch()
    for number, kind in enumerate(CLASSES, 1):
        perms = tmp_path / "class" / kind / "perms"
        perms.mkdir(parents=True)
        (tmp_path / "class" / kind / "index").write_text(str(number))
        for bit, name in enumerate(PERMISSIONS, 1):
            (perms / name).write_text(str(bit))
    monkeypatch.setattr(handed, "ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture
def policy(told: Path, monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], set[str]]:
    """What it refuses to the command, by type and class; every descriptor has the type that is called as its number."""
    refused: dict[tuple[str, str], set[str]] = {}

    def find(source: str, target: str, kind: str, wanted: tuple[str, ...]) -> tuple[str, ...]:
        assert source == COMMAND
        return tuple(name for name in wanted if name in refused.get((target.split(":")[2], kind), ()))

    monkeypatch.setattr(handed, "find_missing", find)
    monkeypatch.setattr(os, "getxattr", lambda descriptor, name: f"u:r:type{descriptor}:s0\0".encode())
    return refused


def one(descriptor: int) -> list[tuple[int, int]]:
    return [(1, descriptor)]


def answer(told: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """What the kernel says of access: here the file is one that gives back what stands behind the question."""
    real = open

    class Asked:
        def __init__(self, path: str, *words: object, **more: object) -> None:
            self.file = real(path, "wb")

        def __enter__(self) -> Asked:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def write(self, data: bytes) -> None:
            self.file.write(data)

        def seek(self, at: int) -> None:
            pass

        def read(self, count: int) -> bytes:
            return text.encode()

    monkeypatch.setattr("builtins.open", lambda path, *words, **more: (
        Asked(path) if str(path) == str(told / "access") else real(path, *words, **more)
    ))  # fmt: skip


def test_missing_permissions_are_those_whose_bits_the_kernel_does_not_give(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(told, monkeypatch, "2 ffffffff 0 ffffffff 1 0")
    assert find_missing("u:r:a:s0", "u:r:b:s0", "file", ("ioctl", "read", "write")) == ("ioctl", "write")
    assert (told / "access").read_bytes() == b"u:r:a:s0 u:r:b:s0 1 ffffffff\0"


def test_permission_that_the_policy_does_not_know_is_not_missed(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(told, monkeypatch, "2 ffffffff 0 ffffffff 1 0")
    assert find_missing("a", "b", "file", ("read", "watch")) == ()


def test_everything_is_missing_where_nobody_can_be_asked(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_missing("a", "b", "nothing", ("read",)) == ("read",)
    answer(told, monkeypatch, "")
    assert find_missing("a", "b", "file", ("read",)) == ("read",)


def test_context_is_asked_for_whole_and_a_file_that_cannot_be_asked_knows_none(told: Path) -> None:
    assert is_valid("u:r:t:s0")
    assert (told / "context").read_bytes() == b"u:r:t:s0\0"
    (told / "context").unlink()
    assert not is_valid("u:r:t:s0")


def test_pipe_is_asked_for_by_the_end_that_it_is(policy: dict[tuple[str, str], set[str]]) -> None:
    read, write = os.pipe()
    policy[f"type{write}", "fifo_file"] = policy[f"type{read}", "fifo_file"] = {"write"}
    lost = find_lost(COMMAND, [(0, read), (1, write)])
    assert lost is not None
    assert (lost.number, lost.label, lost.kind, lost.missing) == (1, f"u:r:type{write}:s0", "fifo_file", ("write",))
    policy.clear()
    assert find_lost(COMMAND, [(0, read), (1, write)]) is None
    for descriptor in (read, write):
        os.close(descriptor)


@pytest.mark.parametrize(
    ("flags", "asked"),
    [
        (os.O_RDONLY, {"read"}), (os.O_WRONLY, {"write"}), (os.O_RDWR, {"read", "write"}),
        (os.O_WRONLY | os.O_APPEND, {"append"}),
        (os.O_RDWR | os.O_APPEND, {"read", "append"}),
    ],
)  # fmt: skip
def test_file_is_asked_for_what_it_was_opened_for(
    policy: dict[tuple[str, str], set[str]], tmp_path: Path, flags: int, asked: set[str]
) -> None:
    descriptor = os.open(tmp_path / "enforce", flags)
    policy[f"type{descriptor}", "file"] = {"read", "write", "append"}
    lost = find_lost(COMMAND, one(descriptor))
    assert lost is not None
    assert set(lost.missing) == asked
    os.close(descriptor)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: socket.socketpair()[0], "unix_stream_socket"),
        (lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0], "unix_dgram_socket"),
        (lambda: socket.socket(socket.AF_INET), "tcp_socket"),
        (lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM), "udp_socket"),
        (partial(open, "/dev/zero", "rb"), "chr_file"),
        (tempfile.TemporaryFile, "file"),
    ],
)  # fmt: skip
def test_thing_is_asked_for_by_its_class_and_stays_open(
    policy: dict[tuple[str, str], set[str]], make: Callable[[], socket.socket], kind: str
) -> None:
    with make() as thing:
        policy[f"type{thing.fileno()}", kind] = {"read"}
        lost = find_lost(COMMAND, one(thing.fileno()))
        assert lost is not None
        assert lost.kind == kind
        os.fstat(thing.fileno())


def test_what_has_no_class_is_closed_or_has_no_label_is_not_asked_for(
    policy: dict[tuple[str, str], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    event = os.eventfd(0)
    policy[f"type{event}", ""] = {"read", "write"}
    assert find_lost(COMMAND, one(event)) is None
    os.close(event)
    assert find_lost(COMMAND, one(event)) is None

    def nothing(descriptor: int, name: str) -> bytes:
        raise OSError

    monkeypatch.setattr(os, "getxattr", nothing)
    policy["type0", "fifo_file"] = {"read"}
    assert find_lost(COMMAND, one(0)) is None


def test_permissive_kernel_takes_nothing_away(policy: dict[tuple[str, str], set[str]], told: Path) -> None:
    with open("/dev/zero", "rb") as file:
        policy[f"type{file.fileno()}", "chr_file"] = {"read"}
        assert find_lost(COMMAND, one(file.fileno())) is not None
        for text in ("0", ""):
            (told / "enforce").write_text(text)
            assert find_lost(COMMAND, one(file.fileno())) is None


def test_context_that_the_policy_does_not_know_is_left_to_the_start(policy: dict[tuple[str, str], set[str]], told: Path) -> None:
    with open("/dev/zero", "rb") as file:
        policy[f"type{file.fileno()}", "chr_file"] = {"read"}
        assert find_lost(COMMAND, one(file.fileno())) is not None
        (told / "context").unlink()
        assert find_lost(COMMAND, one(file.fileno())) is None


def test_null_device_is_not_missed_where_the_kernel_puts_another_one(policy: dict[tuple[str, str], set[str]]) -> None:
    for path, is_lost in (("/dev/null", False), ("/dev/zero", True)):
        with open(path, "rb") as file:
            policy[f"type{file.fileno()}", "chr_file"] = {"read"}
            assert (find_lost(COMMAND, one(file.fileno())) is not None) == is_lost
