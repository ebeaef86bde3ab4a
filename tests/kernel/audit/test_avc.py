"""Records of AppArmor and SELinux read as they were meant, and no text reads as anything worse than nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxer.abi import audit
from sandboxer.kernel.audit.avc import ContextRefusal, ProfileRefusal, parse_avc
from sandboxer.kernel.audit.fields import TEXT_BYTES
from sandboxer.kernel.audit.records import parse_record
from tests.kernel.audit.recorded import HERE, lines_of

RECORDED = sorted(HERE.glob("apparmor-*.txt"))
REFUSED = (
    b'apparmor="DENIED" operation="open" profile="p" name=%b pid=7 comm="cat" requested_mask="r" denied_mask="r" fsuid=0 ouid=0'
)


def recorded(path: Path) -> list[ProfileRefusal]:
    found = [parse_record(kind, text) for kind, text in lines_of(path)]
    return [record for record in found if isinstance(record, ProfileRefusal)]


def profile(text: bytes) -> ProfileRefusal:
    found = parse_avc(1, text)
    assert isinstance(found, ProfileRefusal)
    return found


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_every_record_of_a_real_log_is_understood_and_named(path: Path) -> None:
    kinds = [kind for kind, _ in lines_of(path)]
    assert len(recorded(path)) == kinds.count(audit.AVC) > 10
    assert all(record.serial and record.pid and record.process and record.profile for record in recorded(path))
    assert {record.verdict for record in recorded(path)} == {"DENIED", "ALLOWED"}


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    ("operation", "fields"),
    [
        ("open", {"path": b"/srv/a secret", "denied": "r", "process": b"cat"}),
        ("mknod", {"path": b"/srv/made", "denied": "c"}),
        ("mkdir", {"path": b"/srv/new/", "denied": "c"}),
        ("link", {"path": b"/srv/two", "other": b"/srv/open", "denied": "l"}),
        ("exec", {"path": b"/usr/bin/id", "denied": "x"}),
        ("create", {"family": "inet", "socket": "stream", "denied": "create"}),
        ("signal", {"signal": "term", "peer": b"unconfined", "denied": "send"}),
        ("ptrace", {"peer": b"unconfined", "denied": "read"}),
        ("mount", {"path": b"/mnt/", "info": "failed mntpnt match"}),
        ("change_onexec", {"path": b"nobody", "info": "label not found"}),
    ],
)
def test_record_of_an_operation_has_what_it_is_about(path: Path, operation: str, fields: dict[str, object]) -> None:
    records = [record for record in recorded(path) if record.operation == operation and record.verdict == "DENIED"]
    assert [record for record in records if {name: getattr(record, name) for name in fields} == fields], records


def test_capability_is_told_by_its_name() -> None:
    found = {record.capability for path in RECORDED for record in recorded(path) if record.operation == "capable"}
    assert found == {"chown", "perfmon"}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (b'"/srv/x"', b"/srv/x"),
        (b"2F732078", b"/s x"),
        (b"(null)", b""),
        (b"zz", None),
        (b'"' + b"/" * 9000 + b'"', b"/" * TEXT_BYTES),
    ],
)
def test_name_is_text_in_quotes_or_in_hex(name: bytes, path: bytes | None) -> None:
    assert profile(REFUSED % name).path == path


def test_name_from_inside_cannot_say_another_field() -> None:
    hostile = b'x" pid=1 profile="other" info="lie"'
    found = profile(REFUSED % hostile.hex().upper().encode())
    assert (found.path, found.profile, found.pid, found.info) == (hostile, b"p", 7, "")


def test_what_is_recorded_of_a_learning_profile_is_a_kind_of_its_own() -> None:
    plain, learning = profile(REFUSED % b'"/x"'), profile((REFUSED % b'"/x"').replace(b'"p"', b'"p//null-/usr/bin/cat"'))
    assert plain.thing == learning.thing
    assert plain.kind != learning.kind


def contexts_of(path: Path) -> list[ContextRefusal]:
    found = [parse_record(kind, text) for kind, text in lines_of(path)]
    return [record for record in found if isinstance(record, ContextRefusal)]


def test_every_record_of_selinux_in_a_real_log_is_understood() -> None:
    path = HERE / "selinux-7.3.4.txt"
    found = contexts_of(path)
    assert len(found) == [kind for kind, _ in lines_of(path)].count(audit.AVC) > 20
    assert all(record.serial and record.pid and record.process and record.permissions for record in found)
    assert {record.is_refused for record in found} == {True, False}


@pytest.mark.parametrize(
    ("target_class", "permission", "fields"),
    [
        ("file", "read", {"path": b"k-shadow_t", "device": "vda", "target": "system_u:object_r:shadow_t:s0"}),
        ("file", "read", {"path": b"other", "target": "system_u:object_r:sandboxer_file_t:s0:c1,c2"}),
        ("file", "append", {"path": b"k-etc_t", "process": b"sh"}),
        ("dir", "getattr", {"path": b"/srv/work/deep", "target": "system_u:object_r:var_t:s0"}),
        ("dir", "search", {"path": b"1", "device": "proc", "target": "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023"}),
        ("tcp_socket", "create", {"path": None, "process": b"python3.11"}),
        ("process", "sigkill", {"path": None, "target": "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023"}),
        ("dir", "mounton", {"path": b"/tmp", "device": "tmpfs"}),
        ("file", "relabelto", {"path": b"memfd:sandboxer-mark-abc", "is_refused": False}),
    ],
)
def test_record_of_a_permission_has_what_it_is_about(target_class: str, permission: str, fields: dict[str, object]) -> None:
    records = [
        record
        for record in contexts_of(HERE / "selinux-7.3.4.txt")
        if (record.target_class, record.permissions) == (target_class, (permission,))
    ]
    assert [record for record in records if {name: getattr(record, name) for name in fields} == fields], records


def test_numbers_that_the_kernel_gives_anew_make_no_other_thing_and_those_of_a_disk_do() -> None:
    def thing(text: bytes) -> tuple[object, ...]:
        found = parse_avc(3, text)
        assert isinstance(found, ContextRefusal)
        return found.thing

    assert thing(SELINUX) != thing(SELINUX.replace(b"ino=5", b"ino=6"))
    proc = SELINUX.replace(b'dev="sda1"', b'dev="proc"')
    assert thing(proc) == thing(proc.replace(b"ino=5", b"ino=6"))


def test_port_of_a_socket_is_read() -> None:
    text = b"avc:  denied  { name_connect } for  dest=80 scontext=a:b:c tcontext=a:object_r:http_port_t tclass=tcp_socket"
    found = parse_avc(1, text)
    assert isinstance(found, ContextRefusal)
    assert (found.port, found.path) == (80, None)
    bound = parse_avc(1, text.replace(b"dest=80", b"src=81"))
    assert isinstance(bound, ContextRefusal)
    assert bound.port == 81


def test_name_from_inside_cannot_say_another_context() -> None:
    hostile = b'x" scontext=a:b:c tcontext=d:e:f tclass=process permissive=1'
    found = parse_avc(3, SELINUX.replace(b'name="shadow"', b"name=" + hostile.hex().upper().encode()))
    assert isinstance(found, ContextRefusal)
    assert (found.path, found.source, found.target_class, found.is_refused) == (hostile, "u:r:box_t:s0:c1,c2", "file", True)


SELINUX = (
    b'avc:  denied  { read write } for  pid=12 comm="cat" name="shadow" dev="sda1" ino=5 scontext=u:r:box_t:s0:c1,c2 '
    b"tcontext=system_u:object_r:shadow_t:s0 tclass=file permissive=0"
)


def test_refusal_of_selinux_has_its_contexts_class_and_permissions() -> None:
    found = parse_avc(3, SELINUX)
    assert found == ContextRefusal(
        3,
        ("read", "write"),
        "u:r:box_t:s0:c1,c2",
        "system_u:object_r:shadow_t:s0",
        "file",
        pid=12,
        process=b"cat",
        path=b"shadow",
        inode=5,
        device="sda1",
    )
    assert found.kind == ("True", "file", "read", "write")


def test_permissive_selinux_only_records_and_a_grant_is_no_refusal() -> None:
    found = parse_avc(3, SELINUX.replace(b"permissive=0", b"permissive=1"))
    assert isinstance(found, ContextRefusal)
    assert not found.is_refused
    assert parse_avc(3, SELINUX.replace(b"denied", b"granted")) is None


def test_capability_and_a_path_with_blanks_are_read() -> None:
    text = b'avc:  denied  { sys_admin } for  pid=1 comm="x" capability=21  scontext=a:b:c tcontext=a:b:c tclass=capability'
    found = parse_avc(1, text)
    assert isinstance(found, ContextRefusal)
    assert (found.permissions, found.capability, found.target_class) == (("sys_admin",), 21, "capability")
    spaced = parse_avc(1, SELINUX.replace(b'name="shadow"', b"path=2F612062"))
    assert isinstance(spaced, ContextRefusal)
    assert spaced.path == b"/a b"


@pytest.mark.parametrize(
    "text",
    [
        b"", b"apparmor=", b'apparmor="DENIED"', b'apparmor="DENIED" operation="open"', b'apparmor="STATUS" operation="x"',
        b"avc:  denied  { read } for  pid=1", b"avc:  denied  { } for  scontext=a tcontext=b tclass=c",
        b"avc:  denied  {   } for  scontext=a tcontext=b tclass=c", b"avc:  denied  { read } for  scontext=a:b:c tcontext=d:e:",
        SELINUX[:-40], b"lsm=other denied",
    ],
)  # fmt: skip
def test_text_that_says_too_little_is_no_record(text: bytes) -> None:
    assert parse_avc(1, text) is None


VALUES = (b'"DENIED"', b'"open"', b'"p"', b'"/x"', b"1", b"2F", b"(null)", b'""', b"-1", b'"r w"')
NAMES = (
    "apparmor",
    "operation",
    "profile",
    "name",
    "pid",
    "comm",
    "denied_mask",
    "family",
    "peer",
    "scontext",
    "tcontext",
    "tclass",
)
words = st.tuples(st.sampled_from(NAMES), st.one_of(st.binary(max_size=12), st.sampled_from(VALUES)))
texts = st.lists(words, max_size=12).map(lambda pairs: b" ".join(name.encode() + b"=" + value for name, value in pairs))


@given(st.one_of(st.binary(max_size=300), texts, texts.map(lambda text: b"avc:  denied  { read } for  " + text)))
def test_no_text_is_too_strange(text: bytes) -> None:
    match parse_avc(1, text):
        case ProfileRefusal() as found:
            assert all(word.isascii() and word.isprintable() for word in (*found.kind, found.family, found.signal, found.info))
            assert found.pid >= 0
        case ContextRefusal() as found:
            assert found.permissions
            words = (*found.kind, found.source, found.target, found.device)
            assert all(word.isascii() and word.isprintable() for word in words)
