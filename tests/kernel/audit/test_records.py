"""Real records read as they were meant, and no text reads as anything worse than nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxer.abi import audit
from sandboxer.abi.landlock import BY_NAME
from sandboxer.kernel.audit.fields import TEXT_BYTES
from sandboxer.kernel.audit.records import Access, CallMade, DomainGone, DomainMade, parse_record
from tests.kernel.audit.recorded import FILES, lines_of, records_of

HEAD = b"audit(1729738800.268:30): "
KINDS = (audit.LANDLOCK_ACCESS, audit.LANDLOCK_DOMAIN, audit.SYSCALL)


def access(text: bytes) -> Access:
    found = parse_record(audit.LANDLOCK_ACCESS, HEAD + text)
    assert isinstance(found, Access)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_record_of_a_real_log_is_understood(path: Path) -> None:
    assert len(records_of(path)) == sum(kind in KINDS for kind, _ in lines_of(path)) > 40


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_rights_of_a_real_log_are_those_of_the_table(path: Path) -> None:
    names = {name for record in records_of(path) if isinstance(record, Access) for name in record.blockers}
    assert {name.partition(".")[2] for name in names} - set(BY_NAME) == {"", "change_topology"}
    assert {name for name in names if "." not in name} == {"ptrace"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_domain_of_a_real_log_says_at_its_end_how_often_it_refused(path: Path) -> None:
    found = records_of(path)
    made = [record.domain for record in found if isinstance(record, DomainMade)]
    gone = {record.domain: record.denials for record in found if isinstance(record, DomainGone)}
    assert gone == Counter(record.domain for record in found if isinstance(record, Access))
    assert sorted(made) == sorted(gone)
    assert made[:4] == sorted(made[:4])  # one was made after the other


def test_access_to_a_file_has_its_path_and_its_inode() -> None:
    found = access(b'domain=195ba459b blockers=fs.refer path="/usr/bin" dev="vda2" ino=351')
    assert (found.serial, found.domain, found.blockers) == (30, 0x195BA459B, ("fs.refer",))
    assert (found.path, found.inode) == (b"/usr/bin", 351)


def test_several_rights_are_missing_at_once() -> None:
    assert access(b"domain=1 blockers=fs.make_reg,fs.refer").blockers == ("fs.make_reg", "fs.refer")


def test_text_with_special_characters_comes_in_hex() -> None:
    assert access(b"domain=1 blockers=fs.read_file path=2F746D702F712F612062220A1B").path == b'/tmp/q/a b"\n\x1b'
    assert access(b"domain=1 blockers=scope.abstract_unix_socket path=007468657265").path == b"\0there"


def test_quoted_text_that_looks_like_hex_is_no_hex() -> None:
    assert access(b'domain=1 blockers=fs.read_file path="ABCD"').path == b"ABCD"


@pytest.mark.parametrize("text", [b"(null)", b""])
def test_text_that_is_missing_is_empty(text: bytes) -> None:
    assert access(b"domain=1 blockers=fs.read_file path=" + text).path == b""


def test_port_of_either_side_is_taken_and_zero_is_left_out_by_the_kernel() -> None:
    assert [(found.address, found.port) for found in map(access, (
        b"domain=1 blockers=net.connect_tcp daddr=fe80::1 dest=443",
        b"domain=1 blockers=net.bind_tcp saddr=127.0.0.1 src=8081",
        b"domain=1 blockers=net.bind_tcp src=8080",
        b"domain=1 blockers=net.bind_tcp",
    ))] == [("fe80::1", 443), ("127.0.0.1", 8081), ("", 8080), ("", 0)]  # fmt: skip


def test_command_of_an_ioctl_is_a_number() -> None:
    assert access(b'domain=1 blockers=fs.ioctl_dev path="/dev/x" ino=1 ioctlcmd=0x5401').command == 0x5401


def test_domain_begins_and_ends() -> None:
    made = b'domain=a status=allocated mode=enforcing pid=300 uid=0 exe="/x" comm="y"'
    assert parse_record(audit.LANDLOCK_DOMAIN, HEAD + made) == DomainMade(10, 300)
    assert parse_record(audit.LANDLOCK_DOMAIN, HEAD + b"domain=a status=deallocated denials=3") == DomainGone(10, 3)


def test_call_tells_who_made_it() -> None:
    text = b'arch=c000003e syscall=42 success=no exit=-13 ppid=1 pid=132 uid=0 comm="python3" exe="/x" key=(null)'
    assert parse_record(audit.SYSCALL, HEAD + text + b"\0") == CallMade(30, 132, b"python3", 1)
    assert parse_record(audit.SYSCALL, HEAD + b"pid=1 comm=612062") == CallMade(30, 1, b"a b")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"domain=1 blockers=fs.read_file",
        HEAD,
        HEAD + b"blockers=fs.read_file",
        HEAD + b"domain=xyz blockers=fs.read_file",
        HEAD + b"domain=1",
        HEAD + b"domain=1 blockers=",
        HEAD + b"domain=1 blockers=fs.\x1b[2J",
        HEAD + b"domain=" + b"1" * 5000 + b" blockers=fs.read_file",
    ],
)
def test_what_the_kernel_would_not_write_is_nothing(text: bytes) -> None:
    assert parse_record(audit.LANDLOCK_ACCESS, text) is None


def test_name_cannot_say_what_the_kernel_says() -> None:
    """The twin: a text with a blank is in hex, so it is never read as a field; and what comes first counts."""
    hostile = b'x" domain=2 blockers=fs.refer'
    found = access(b"domain=1 blockers=fs.read_file path=" + hostile.hex().encode() + b" domain=3")
    assert (found.domain, found.blockers, found.path) == (1, ("fs.read_file",), hostile)


NAMES = ("domain", "blockers", "path", "ino", "ioctlcmd", "daddr", "dest", "src", "ocomm", "status", "pid", "denials", "comm")
VALUES = (b"1", b'"x"', b"(null)", b"allocated", b"fs.read_file", b"-1", b"00F")
fields = st.tuples(st.sampled_from(NAMES), st.one_of(st.binary(max_size=12), st.sampled_from(VALUES)))
records = st.lists(fields, max_size=12).map(lambda pairs: HEAD + b" ".join(name.encode() + b"=" + value for name, value in pairs))
texts = st.one_of(st.binary(max_size=400), records)


@given(st.sampled_from(KINDS), texts)
def test_no_text_is_too_strange(kind: int, text: bytes) -> None:
    found = parse_record(kind, text)
    match found:
        case Access():
            assert all(name.isascii() and name.isprintable() for name in (*found.blockers, found.address))
            assert found.domain >= 0 <= found.port
        case CallMade():
            assert len(found.name) <= TEXT_BYTES


@given(st.binary(min_size=1, max_size=6000))
def test_every_path_comes_back_bounded(path: bytes) -> None:
    """As the kernel spells it: audit_string_contains_control() says which are in hex."""
    is_plain = all(0x21 <= byte <= 0x7E and byte != 0x22 for byte in path)
    spelled = b'"' + path + b'"' if is_plain else path.hex().upper().encode()
    assert access(b"domain=1 blockers=fs.read_file path=" + spelled).path == path[:TEXT_BYTES]
