"""What is said about refusals of SELinux, and that a module of the patched profile grants them; where none would, no patch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sandboxer.compile.resolve import resolve
from sandboxer.controls.lsm.selinux import SHARED_TYPE, make_module
from sandboxer.kernel.audit.avc import ContextRefusal
from sandboxer.learn.denials import explain_denials
from sandboxer.learn.labels.selinux import Domain, explain_selinux, find_context, find_domain, read_rules, type_of
from sandboxer.learn.patch import Patch
from sandboxer.model.host import Host
from sandboxer.model.op import PAIR
from sandboxer.model.result import LabelDenial, Risk
from sandboxer.run.hearing.refused import THINGS_KEPT, RefusedLedger
from sandboxer.run.ledger import Ledger
from sandboxer.run.prepare import host_for, make_plan
from sandboxer.run.request import Request
from tests.controls.lsm.selinux.compiler import complaint
from tests.learn.profiles import Place, known

HOST = Host(landlock_abi=7, selinux_problem="", selinux_mend="")
GROUND = "policies: [syscalls/application, filesystem/runtime, environment/plain]\n"
MADE, OTHER = "selinux: {type: generate}\n", "selinux: {type: other_t, file_type: tmp_t}\n"
OWN, USERS = "u:r:box_t:s0:c123,c456", "u:r:login_t:s0-s0:c0.c1023"
READ = ContextRefusal(
    1, ("read",), OWN, "system_u:object_r:var_t:s0", "file", pid=7, process=b"job", path=b"x", inode=5, device="vda"
)


@dataclass(frozen=True)
class Told:
    """The domain of a profile, and what is said about refusals of it."""

    domain: Domain

    def all(self, *records: ContextRefusal) -> list[tuple[LabelDenial, Patch]]:
        ledger: RefusedLedger[ContextRefusal] = RefusedLedger()
        for record in records:
            ledger.add(record)
        return explain_selinux(ledger, self.domain)

    def one(self, record: ContextRefusal) -> LabelDenial:
        ((denial, _),) = self.all(record)
        return denial

    def own(self, target_class: str, permission: str) -> ContextRefusal:
        """What is refused to the command of this box in itself."""
        context = OWN.replace("box_t", self.domain.name)
        return ContextRefusal(1, (permission,), context, context, target_class, pid=7, process=b"job")

    def files(self, *permissions: str, level: str = "s0:c123,c456", target_class: str = "file") -> ContextRefusal:
        """What is refused over the box's own files."""
        target = f"u:object_r:{self.domain.file_type}:{level}"
        return replace(READ, permissions=permissions, target=target, target_class=target_class)


def made(place: Place, text: str, name: str = "mine") -> Told:
    place.profile(GROUND + text, name)
    policy = resolve(name).policy
    host = host_for(policy, HOST)
    return Told(find_domain(policy, host, make_plan(Request(name), policy, host)))


def patched(place: Place, text: str, denial: LabelDenial) -> Domain:
    return made(place, f"{text}{denial.patch}\n", "patched").domain


def of_type(kind: str, *permissions: str, target_class: str = "file") -> ContextRefusal:
    return replace(READ, permissions=permissions, target=f"system_u:object_r:{kind}:s0", target_class=target_class)


def at(path: Path, record: ContextRefusal) -> ContextRefusal:
    """With the path that some records have."""
    return replace(record, path=bytes(path), inode=path.stat().st_ino)


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_type_that_no_module_has_is_told_with_the_label_that_would_do_and_no_patch(place: Place, tmp_path: Path) -> None:
    told = made(place, MADE)
    denial = told.one(READ)
    assert (denial.words, denial.section, denial.patch, denial.path) == ('file (read): "x" (var_t)', "selinux", "", "")
    assert (denial.target, denial.risk, denial.is_refused) == ("system_u:object_r:var_t:s0", Risk.MEDIUM, True)
    assert denial.attempt.startswith(f"if it is the box's to use: chcon -h -t {SHARED_TYPE} FILE (find DIRECTORY -inum 5); or ")
    directory = tmp_path / "a directory"
    directory.mkdir()
    denial = told.one(at(directory, of_type("var_t", "getattr", target_class="dir")))
    assert denial.path == str(directory)
    assert f"chcon -hR -t {SHARED_TYPE} '{directory}'; or " in denial.attempt


def test_path_that_is_another_file_on_the_host_is_in_no_command(place: Place, tmp_path: Path) -> None:
    denial = made(place, MADE).one(replace(READ, path=bytes(tmp_path), inode=tmp_path.stat().st_ino + 1))
    assert (denial.path, denial.patch) == (str(tmp_path), "")
    assert str(tmp_path) not in denial.attempt


@pytest.mark.parametrize(
    ("permissions", "field", "risk"),
    [(("append", "open"), "write", Risk.HIGH), (("execute",), "execute", Risk.LOW), (("read", "write"), "write", Risk.HIGH)],
)
def test_shared_directory_that_is_shown_for_less_has_its_field_and_the_patched_module_grants_it(
    place: Place, tmp_path: Path, permissions: tuple[str, ...], field: str, risk: Risk
) -> None:
    shown = tmp_path / "shown"
    shown.mkdir()
    text = f"{MADE}filesystem: {{read: ['{shown}']}}\n"
    told = made(place, text)
    denial = told.one(of_type(SHARED_TYPE, *permissions))
    assert (denial.section, denial.patch, denial.risk) == ("filesystem", "", risk)
    assert "grant what it lies in under " in denial.attempt
    (shown / "x").touch()
    denial = told.one(at(shown / "x", of_type(SHARED_TYPE, *permissions)))
    assert f'  {field}:\n    - "{shown}/x"' in denial.patch
    assert denial.place is not None
    assert (denial.place.file, denial.place.line) == (".sandboxer/profiles/mine.yaml", 6)
    after = patched(place, MADE, denial)
    assert set(permissions) <= after.granted(SHARED_TYPE, "file")
    assert not set(permissions) <= told.domain.granted(SHARED_TYPE, "file")


def test_types_of_the_system_are_granted_by_path_where_it_is_theirs_and_else_another_label_is_told(
    place: Place, tmp_path: Path
) -> None:
    told = made(place, MADE)
    denial = told.one(at(Path("/sys/fs/cgroup"), of_type("cgroup_t", "read", target_class="dir")))
    assert (denial.section, denial.patch) == ("filesystem", 'filesystem:\n  read:\n    - "/sys/fs/cgroup"')
    assert "nothing in /sys/fs/cgroup to read" in denial.rule
    elsewhere = told.one(at(tmp_path, of_type("cgroup_t", "read", target_class="dir")))
    assert (elsewhere.section, elsewhere.patch) == ("selinux", "")
    assert f"chcon -hR -t {SHARED_TYPE} {tmp_path}" in elsewhere.attempt
    written = told.one(at(Path("/usr"), of_type("usr_t", "write", target_class="dir")))
    assert (written.patch, written.section) == ("", "selinux")
    assert "no module has the type usr_t to write" in written.rule


def test_file_with_categories_that_the_box_lacks_is_told_by_them(place: Place, tmp_path: Path) -> None:
    told = made(place, MADE)
    denial = told.one(replace(READ, target=f"system_u:object_r:{SHARED_TYPE}:s0:c1,c456"))
    assert (denial.thing, denial.patch) == (f'"x" ({SHARED_TYPE}:s0:c1,c456)', "")
    assert "the categories c1, which this box has not" in denial.rule
    assert denial.attempt.startswith("if every box is to use it: chcon -h -l s0 FILE")
    other = told.one(told.files("read", level="s0:c1,c2"))
    assert (other.patch, other.attempt) == ("", "nothing: it is another box's")
    assert "the categories c1,c2" in other.rule


def test_program_in_the_boxs_own_places_is_told_where_to_say_it(place: Place) -> None:
    told = made(place, f"{MADE}filesystem: {{tmpfs: [/tmp]}}\n")
    denial = told.one(replace(told.files("execute"), path=b"/tmp/t"))
    assert (denial.section, denial.patch, denial.place and denial.place.line) == ("filesystem", "", 6)
    assert denial.attempt.startswith("`execute: true` for the tmpfs")
    other = told.one(told.files("relabelfrom"))
    assert (other.section, other.patch, other.attempt) == ("selinux", "", "")
    given = made(place, f"{MADE}filesystem: {{tmpfs: [{{path: /tmp, execute: true}}]}}\n", "given")
    assert "execute" in given.domain.granted(given.domain.file_type, "file")


def test_device_that_is_not_given_has_its_field(place: Place) -> None:
    told = made(place, MADE)
    denial = told.one(of_type("zero_device_t", "read", target_class="chr_file"))
    assert (denial.section, denial.patch) == ("devices", 'devices:\n  allow:\n    - "/dev/zero"')
    assert "read" in patched(place, MADE, denial).granted("zero_device_t", "chr_file")
    null = told.one(of_type("null_device_t", "read", target_class="chr_file"))
    assert (null.patch, null.attempt) == ("", "the one that it is, under `devices.allow`")
    disk = told.one(of_type("fixed_disk_device_t", "read", target_class="blk_file"))
    assert (disk.section, disk.patch) == ("selinux", "")


def test_what_proc_says_of_the_machine_is_in_no_module_and_of_the_network_where_there_is_one(place: Place) -> None:
    told = made(place, f"{MADE}filesystem: {{proc: processes}}\n")
    denial = told.one(replace(of_type("sysctl_t", "search", target_class="dir"), device="proc"))
    assert (denial.section, denial.patch, denial.attempt) == ("selinux", "", "nothing")
    denial = told.one(replace(of_type("proc_net_t", "read"), device="proc"))
    assert (denial.section, denial.patch) == ("network", "network:\n  mode: loopback")
    text = f"{MADE}filesystem: {{proc: processes}}\n"
    assert "read" in patched(place, text, denial).granted("proc_net_t", "file")
    assert "read" not in told.domain.granted("proc_net_t", "file")


def test_what_the_module_grants_and_the_machine_does_not_is_told_as_that(place: Place) -> None:
    denial = made(place, MADE).one(of_type("bin_t", "read", "open"))
    assert (denial.section, denial.patch) == ("selinux", "")
    assert "a constraint of the machine's own policy does not" in denial.rule


@pytest.mark.parametrize("path", [b"a\nb", b"\xff", b"$x", b"\x1b[2J", b"x" * 5000])
def test_name_that_a_job_has_chosen_is_escaped_and_bounded(place: Place, path: bytes) -> None:
    denial = made(place, MADE).one(replace(READ, path=path))
    assert denial.path == ""
    assert denial.words.isprintable()
    assert len(denial.words) < 400


# ── what is no file ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_socket_of_a_box_without_a_network_is_told_to_have_one(place: Place) -> None:
    told = made(place, MADE)
    for kind in ("tcp_socket", "udp_socket", "netlink_route_socket"):
        denial = told.one(told.own(kind, "create"))
        assert (denial.words, denial.section, denial.patch) == (f"{kind} (create)", "network", "network:\n  mode: loopback")
        after = patched(place, MADE, denial)
        assert "create" in after.granted(after.name, kind)
        assert "create" not in told.domain.granted(told.domain.name, kind)


def test_raw_socket_wants_a_network_and_the_capability(place: Place) -> None:
    told = made(place, MADE)
    denial = told.one(told.own("rawip_socket", "create"))
    assert (denial.section, denial.risk) == ("capabilities", Risk.HIGH)
    assert denial.patch == "capabilities:\n  keep:\n    - net_raw\nnetwork:\n  mode: loopback"
    after = patched(place, MADE, denial)
    assert "create" in after.granted(after.name, "rawip_socket")
    up = made(place, f"{MADE}network: {{mode: loopback}}\n", "up")
    assert up.one(up.own("packet_socket", "create")).patch == "capabilities:\n  keep:\n    - net_raw"


def test_socket_of_a_family_that_no_module_has_is_told_so(place: Place) -> None:
    told = made(place, MADE)
    denial = told.one(told.own("vsock_socket", "create"))
    assert (denial.section, denial.patch, denial.attempt) == ("selinux", "", "nothing")
    up = made(place, f"{MADE}network: {{mode: loopback}}\n", "up")
    denial = up.one(replace(up.own("tcp_socket", "name_connect"), target="system_u:object_r:http_port_t:s0", port=80))
    assert (denial.words, denial.patch) == ("tcp_socket (name_connect): port 80 (http_port_t)", "")


def test_capability_of_the_boxs_user_namespace_is_told_to_be_kept_and_of_the_first_one_never(place: Place) -> None:
    told = made(place, MADE)
    denial = told.one(replace(told.own("cap_userns", "chown"), capability=0))
    assert (denial.words, denial.section, denial.risk) == ("cap_userns (chown)", "capabilities", Risk.HIGH)
    assert denial.patch == "capabilities:\n  keep:\n    - chown"
    after = patched(place, MADE, denial)
    assert "chown" in after.granted(after.name, "cap_userns")
    first = told.one(told.own("capability", "sys_admin"))
    assert (first.section, first.patch) == ("selinux", "")
    assert told.one(told.own("cap2_userns", "bpf")).patch == "capabilities:\n  keep:\n    - bpf"


def test_mounting_is_told_as_the_capability_over_the_boxs_own_places_alone(place: Place) -> None:
    told = made(place, MADE)
    denial = told.one(told.files("mounton", target_class="dir"))
    assert denial.patch == "capabilities:\n  keep:\n    - sys_admin"
    after = patched(place, MADE, denial)
    assert "mounton" in after.granted(after.file_type, "dir")
    assert told.one(of_type("usr_t", "mounton", target_class="dir")).patch == ""
    assert told.one(of_type("proc_t", "mount", target_class="filesystem")).patch == ""


@pytest.mark.parametrize(
    ("target_class", "permission"),
    [("process", "sigkill"), ("process", "ptrace"), ("dir", "search"), ("unix_stream_socket", "connectto")],
)
@pytest.mark.parametrize("is_equal_box", [False, True])
def test_processes_of_others_are_never_granted(place: Place, target_class: str, permission: str, is_equal_box: bool) -> None:
    told = made(place, MADE)
    target = f"u:r:{told.domain.name}:s0:c7,c8" if is_equal_box else USERS
    denial = told.one(replace(told.own(target_class, permission), target=target))
    assert (denial.section, denial.patch) == ("selinux", "")
    assert denial.attempt.startswith("nothing: it signals, traces and looks at only")
    assert denial.thing == (f"{told.domain.name}:s0:c7,c8" if is_equal_box else "login_t")


@pytest.mark.parametrize(
    "record",
    [
        ContextRefusal(1, ("open",), OWN, USERS, "fifo_file", path=b"pipe:[7]", device="pipefs"),
        ContextRefusal(1, ("use",), OWN, "u:r:other_t:s0", "fd"),
        ContextRefusal(1, ("read", "write"), OWN, "u:r:other_t:s0", "unix_stream_socket"),
        ContextRefusal(1, ("open",), OWN, "u:object_r:user_devpts_t:s0", "chr_file", path=b"/dev/pts/1", device="devpts"),
        ContextRefusal(1, ("open",), OWN, "u:object_r:tmpfs_t:s0", "file", path=b"memfd:x", device="tmpfs"),
    ],
    ids=["pipe", "descriptor", "socket", "terminal", "memory file"],
)
def test_what_was_handed_in_is_told_as_that(place: Place, record: ContextRefusal) -> None:
    denial = made(place, MADE).one(record)
    assert (denial.section, denial.patch) == ("selinux", "")
    assert denial.attempt.startswith("have the job use the descriptor")


def test_domain_by_name_is_told_the_rule_that_it_lacks(place: Place) -> None:
    told = made(place, OTHER)
    denial = told.one(of_type("var_t", "read", "open"))
    assert (denial.section, denial.patch, denial.place and denial.place.line) == ("selinux", "", 5)
    assert denial.attempt == "in a module of its own: (allow other_t var_t (file (read open)))"
    signal = told.one(replace(told.own("process", "signal"), target=USERS))
    assert signal.attempt == "in a module of its own: (allow other_t login_t (process (signal)))"
    socket = told.one(told.own("tcp_socket", "create"))
    assert socket.patch == "network:\n  mode: loopback"
    assert socket.attempt.endswith("; in a module of its own: (allow other_t self (tcp_socket (create)))")
    up = made(place, f"{OTHER}network: {{mode: loopback}}\ncapabilities: {{keep: [chown]}}\n", "up")
    for record in (up.own("tcp_socket", "create"), up.own("cap_userns", "chown")):
        denial = up.one(record)
        assert (denial.section, denial.patch) == ("selinux", "")
        assert denial.attempt.startswith("in a module of its own: (allow other_t self (")


def test_record_that_is_not_as_a_kernel_writes_it_is_told_all_the_same(place: Place) -> None:
    known_ones = (made(place, MADE), made(place, OTHER, "named"))
    for context in ("", "a", "kernel", "a:b", ":::", "a:b:c:d:e,f"):
        for target_class in ("file", "process", "tcp_socket", "capability", "cap_userns", "nothing_known", "fd"):
            record = replace(READ, source=context, target=context, target_class=target_class, permissions=("no_such",))
            for told in known_ones:
                assert (told.one(record).wanted, told.one(record).patch) == ("no_such", "")


# ── the whole ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_only_recorded_says_so(place: Place) -> None:
    assert not made(place, MADE).one(replace(READ, is_refused=False)).is_refused


def test_further_things_of_one_kind_refer_to_the_first(place: Place) -> None:
    rows = [denial for denial, _ in made(place, MADE).all(*(replace(READ, path=b"%d" % number) for number in range(20)))]
    assert (len(rows), rows[-1].is_rest, rows[-1].count, rows[-1].words) == (THINGS_KEPT + 1, True, 4, "file (read)")
    assert rows[-1].attempt.startswith("the same as for the other things")


def test_patch_of_all_has_what_the_domain_lacks(place: Place) -> None:
    told = made(place, MADE)
    more = [(patch, denial.risk) for denial, patch in told.all(told.own("tcp_socket", "create"), READ)]
    assert len(more) == 2
    found = explain_denials(Ledger(), told.domain.policy, known("mine").settings, "x86_64", more=more)
    assert found.patch == "network:\n  mode: loopback  # risk: low"


def test_plan_has_its_context_with_a_hole_for_the_categories_and_one_without_a_domain_none(place: Place) -> None:
    told = made(place, MADE)
    policy = resolve("mine").policy
    host = host_for(policy, HOST)
    context = find_context(make_plan(Request("mine"), policy, host))
    assert context == f"unconfined_u:unconfined_r:{told.domain.name}:s0:{PAIR}"
    assert type_of(context) == told.domain.name
    place.profile(GROUND, "plain")
    plain = resolve("plain").policy
    assert find_context(make_plan(Request("plain"), plain, host_for(plain, HOST))) == ""


def test_rules_that_are_read_are_those_that_the_compiler_sees(place: Place) -> None:
    domain = made(place, f"{MADE}network: {{mode: loopback}}\n").domain
    text = make_module(domain.scene).text
    assert domain.rules == read_rules(text, domain.name)
    for kind, target_class, permission in (
        ("bin_t", "file", "execute"),
        ("etc_t", "file", "read"),
        (domain.name, "tcp_socket", "bind"),
    ):
        assert permission in domain.granted(kind, target_class)
        assert complaint(text, f"(neverallow {domain.name} {kind} ({target_class} ({permission})))\n") != ""
    for kind, target_class, permission in (
        ("bin_t", "file", "write"),
        ("etc_t", "file", "execute"),
        ("shadow_t", "file", "read"),
    ):
        assert permission not in domain.granted(kind, target_class)
        assert complaint(text, f"(neverallow {domain.name} {kind} ({target_class} ({permission})))\n") == ""
