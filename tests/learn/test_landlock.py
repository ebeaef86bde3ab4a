"""What is said about refusals of Landlock, and that what is said would allow them, and nothing else."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxer.abi.landlock import BY_NAME, LATEST_ABI, Kind, names_of
from sandboxer.compile.lower import lower_policy
from sandboxer.compile.resolve import resolve
from sandboxer.controls import ROOMS, landlock
from sandboxer.controls.paths import covers
from sandboxer.kernel.audit.fields import TEXT_BYTES
from sandboxer.kernel.audit.records import Access
from sandboxer.learn.denials import explain_denials
from sandboxer.learn.landlock import Walls, explain_landlock, find_walls
from sandboxer.learn.patch import Grant, Patch
from sandboxer.learn.together import join_patches
from sandboxer.model.host import Host
from sandboxer.model.result import LandlockDenial, Risk
from sandboxer.run.hearing.refused import THINGS_KEPT, RefusedLedger
from sandboxer.run.ledger import Ledger
from sandboxer.run.prepare import host_for
from tests.learn.profiles import Place, known

HOST = Host(landlock_abi=LATEST_ABI, audit_problem="")
GROUND = "policies: [syscalls/application, filesystem/runtime, environment/plain]\n"


@dataclass(frozen=True)
class Wall:
    """The walls of a profile on a pretended host whose files are this machine's."""

    walls: Walls

    def denial(self, *accesses: Access) -> LandlockDenial:
        """What is said about some refusals of one kind."""
        return self.explained(*accesses)[0][0]

    def explained(self, *accesses: Access) -> list[tuple[LandlockDenial, Patch]]:
        ledger = RefusedLedger()
        for access in accesses:
            ledger.add(access)
        return explain_landlock(ledger, self.walls)

    def allows(self, access: Access) -> bool:
        """Whether a box of this profile may do it, by its walls."""
        for blocker in access.blockers:
            right = blocker.partition(".")[2]
            port = access.port if blocker.startswith("net.") else None
            path = (access.path or b"").decode()
            granted = {
                name for op, _ in self.walls.rules if covers(op.path, path) for name in names_of(op.rights, Kind.FILESYSTEM)
            }
            if self.walls.against(right, port) and right not in granted:
                return False
        return True


def walls_of(name: str) -> Wall:
    policy = resolve(name).policy
    plan = lower_policy(policy, host_for(policy, HOST), ROOMS, is_watched=True)
    return Wall(find_walls(policy, landlock.settings(policy), plan))


def made(place: Place, text: str, name: str = "mine") -> Wall:
    place.profile(text, name)
    return walls_of(name)


def access(blockers: str, **rest: object) -> Access:
    return Access(1, 7, tuple(blockers.split()), **rest)  # type: ignore[arg-type]


def file(path: Path, *rights: str) -> Access:
    return access(" ".join(f"fs.{right}" for right in rights), path=bytes(path), inode=path.lstat().st_ino)


def patched(place: Place, text: str, denial: LandlockDenial) -> Wall:
    """The profile with what it was told to add; a section that it has already is one with it."""
    return made(place, f"extends: [ground]\n{denial.patch}\n") if place.profile(text, "ground") else made(place, text)


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rights", "field", "risk"),
    [
        (("read_file",), "read", Risk.MEDIUM),
        (("write_file", "truncate"), "write", Risk.HIGH),
        (("make_reg", "refer"), "write", Risk.HIGH),
        (("remove_file",), "write", Risk.HIGH),
        (("execute",), "execute", Risk.LOW),
    ],
)
def test_right_on_a_file_has_its_field_and_the_patch_allows_it(
    place: Place, tmp_path: Path, rights: tuple[str, ...], field: str, risk: Risk
) -> None:
    target = tmp_path / "outside"
    target.mkdir()
    wanted = file(target, *rights)
    plain = made(place, GROUND)
    assert not plain.allows(wanted)
    denial = plain.denial(wanted)
    assert (denial.section, denial.risk, denial.path, denial.port) == ("filesystem", risk, str(target), None)
    assert denial.patch == f'filesystem:\n  {field}:\n    - "{target}"'
    after = patched(place, GROUND, denial)
    assert after.allows(wanted)
    other = tmp_path / "beside"
    other.mkdir()
    assert not after.allows(file(other, *rights))


def test_read_and_execute_at_once_are_two_fields(place: Place, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    wanted = file(tmp_path / "outside", "execute", "read_file")
    denial = made(place, GROUND).denial(wanted)
    assert [line.strip() for line in denial.patch.splitlines()][1::2] == ["execute:", "read:"]
    assert patched(place, GROUND, denial).allows(wanted)


def test_nearest_rule_and_its_place_are_named(place: Place, tmp_path: Path) -> None:
    (tmp_path / "tree/inner").mkdir(parents=True)
    text = f"{GROUND}filesystem:\n  read: ['{tmp_path}/tree']\n"
    denial = made(place, text).denial(file(tmp_path / "tree/inner", "make_dir"))
    assert denial.rule == f"the rules down to {tmp_path}/tree grant read_file read_dir, and not make_dir"
    assert (denial.place.line, denial.place.file) == (6, ".sandboxer/profiles/mine.yaml") if denial.place else False


def test_server_behind_a_socket_is_granted_as_a_path_at_high_risk(place: Place, tmp_path: Path) -> None:
    import socket

    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "run/s"))
        text = f"{GROUND}filesystem:\n  read: ['{tmp_path}/run']\n"
        wanted = file(tmp_path / "run/s", "resolve_unix")
        plain = made(place, text)
        assert not plain.allows(wanted)
        denial = plain.denial(wanted)
        assert denial.risk is Risk.HIGH
        assert patched(place, text, denial).allows(wanted)


def test_move_to_where_the_file_would_have_more_rights_is_no_grant_that_is_missing(place: Place, tmp_path: Path) -> None:
    text = f"{GROUND}filesystem:\n  write: ['{tmp_path}']\n"
    denial = made(place, text).denial(file(tmp_path, "refer"))
    assert (denial.patch, denial.attempt) == ("", "copy it, or grant both directories the same")
    denial = made(place, text).denial(file(tmp_path, "read_file"))
    assert (denial.patch, denial.attempt) == ("", "")


def test_path_that_is_another_file_outside_has_no_patch(place: Place, tmp_path: Path) -> None:
    """The box's /tmp is its own: to grant the host's file of that name would be wrong."""
    wanted = access("fs.execute", path=bytes(tmp_path), inode=tmp_path.lstat().st_ino + 1)
    denial = made(place, GROUND).denial(wanted)
    assert (denial.patch, denial.section) == ("", "filesystem")
    assert "something else under this path" in denial.attempt


@pytest.mark.parametrize("name", [b"a\nb", b"\xff\xfe", b"${HOME}", b"what?", b"x (deleted)", "\u202eexe".encode()])
def test_name_that_no_profile_can_hold_has_no_patch(place: Place, tmp_path: Path, name: bytes) -> None:
    path = bytes(tmp_path) + b"/" + name
    with open(path, "wb") as made_file:
        inode = made_file.fileno() and Path(f"/proc/self/fd/{made_file.fileno()}").stat().st_ino
    denial = made(place, GROUND).denial(access("fs.read_file", path=path, inode=inode))
    assert (denial.patch, denial.path) == ("", "")
    assert denial.thing.isprintable()


@given(st.binary(max_size=TEXT_BYTES))
def test_no_name_escapes(path: bytes) -> None:
    denial = walls_of("default").denial(access("fs.read_file", path=path, inode=1))
    assert denial.thing.isprintable()
    assert len(denial.thing) < 2000
    assert denial.rule.isprintable() and denial.attempt.isprintable()  # noqa: PT018


@pytest.mark.parametrize("right", ["make_char", "make_block", "ioctl_dev"])
def test_right_that_no_section_grants_leaves_the_wall_as_a_whole(place: Place, right: str) -> None:
    wanted = access(f"fs.{right}", path=b"/dev/null", inode=1)
    denial = made(place, GROUND).denial(wanted)
    assert (denial.section, denial.patch) == ("landlock", f"landlock:\n  unhandled:\n    - {right}")
    assert patched(place, GROUND, denial).allows(wanted)


def test_mount_is_refused_by_every_wall_that_is_about_files(place: Place) -> None:
    denial = made(place, GROUND).denial(access("fs.change_topology", path=b"/mnt", inode=1))
    assert (denial.patch, denial.risk) == ("landlock:\n  unhandled:\n    - filesystem", Risk.HIGH)
    assert not patched(place, GROUND, denial).walls.against("write_file", None)


# ── ports ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("right", "address", "mode", "risk"),
    [
        ("connect_tcp", "127.0.0.1", "loopback", Risk.LOW),
        ("connect_tcp", "::1", "loopback", Risk.LOW),
        ("connect_tcp", "", "loopback", Risk.LOW),
        ("connect_tcp", "10.1.2.3", "host", Risk.HIGH),
        ("connect_send_udp", "10.1.2.3", "host", Risk.HIGH),
        ("bind_tcp", "10.1.2.3", "loopback", Risk.LOW),
        ("bind_udp", "", "loopback", Risk.LOW),
    ],
)
def test_port_of_a_box_without_a_network_needs_one(place: Place, right: str, address: str, mode: str, risk: Risk) -> None:
    wanted = access(f"net.{right}", address=address, port=80)
    denial = made(place, GROUND).denial(wanted)
    assert (denial.section, denial.patch, denial.risk) == ("network", f"network:\n  mode: {mode}", risk)
    assert (denial.port, denial.path) == (80, "")
    assert patched(place, GROUND, denial).allows(wanted)


def test_port_that_is_not_in_the_list_is_added_to_it(place: Place) -> None:
    text = GROUND + "network: {mode: host}\nlandlock: {connect_tcp: [80]}\n"
    wanted = access("net.connect_tcp", address="10.1.2.3", port=81)
    denial = made(place, text).denial(wanted)
    assert (denial.section, denial.patch) == ("landlock", "landlock:\n  connect_tcp:\n    - 81")
    assert denial.place is not None
    assert denial.place.line == 6
    after = patched(place, text, denial)
    assert after.allows(wanted)
    assert not after.allows(access("net.connect_tcp", port=82))


def test_port_that_a_layer_takes_away_has_no_patch(place: Place) -> None:
    policy = place.root / ".sandboxer/policies/narrow.yaml"
    policy.parent.mkdir(parents=True)
    policy.write_text("kind: policy\nname: narrow\ndescription: x\nlandlock: {connect_tcp: [80]}\n")
    text = GROUND + "network: {mode: host}\nrestrict: [narrow]\n"
    denial = made(place, text).denial(access("net.connect_tcp", port=81))
    assert denial.patch == ""
    assert "the layer narrow" in denial.rule
    assert "a layer is not widened" in denial.attempt


# ── scopes and other processes ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("right", "risk"), [("signal", Risk.MEDIUM), ("abstract_unix_socket", Risk.HIGH)])
def test_scope_is_left_out_of_the_wall(place: Place, right: str, risk: Risk) -> None:
    wanted = access(f"scope.{right}", process=b"init")
    denial = made(place, GROUND).denial(wanted)
    assert (denial.patch, denial.risk) == (f"landlock:\n  unhandled:\n    - {right}", risk)
    assert patched(place, GROUND, denial).allows(wanted)


def test_tracing_has_no_patch(place: Place) -> None:
    denial = made(place, GROUND).denial(access("ptrace", process=b"init"))
    assert (denial.patch, denial.thing) == ("", 'process "init"')
    assert denial.attempt.startswith("nothing")


def test_right_that_is_newer_than_the_table_is_told_all_the_same(place: Place) -> None:
    denial = made(place, GROUND).denial(access("scope.new_thing"))
    assert (denial.words, denial.patch, denial.risk) == ("scope.new_thing", "", Risk.UNKNOWN)


@pytest.mark.parametrize("right", sorted(set(BY_NAME) - {"read_dir"}))  # which is granted everywhere
def test_every_right_of_the_table_has_an_answer(place: Place, tmp_path: Path, right: str) -> None:
    kind = {Kind.FILESYSTEM: "fs", Kind.NETWORK: "net", Kind.SCOPE: "scope"}[BY_NAME[right].kind]
    denial = made(place, GROUND).denial(access(f"{kind}.{right}", path=bytes(tmp_path), inode=tmp_path.lstat().st_ino))
    assert denial.patch
    assert denial.risk is not Risk.UNKNOWN


# ── many ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_abstract_socket_and_command_are_told(place: Place) -> None:
    wall = made(place, GROUND)
    assert wall.denial(access("scope.abstract_unix_socket", path=b"\0x\x1b")).thing == 'abstract socket "x\\x1b"'
    assert wall.denial(access("fs.ioctl_dev", path=b"/dev/x", command=0x5401)).thing == '"/dev/x", command 0x5401'


def test_rest_has_no_patch_of_its_own(place: Place, tmp_path: Path) -> None:
    rows = made(place, GROUND).explained(*(file(tmp_path, "read_file"),), *(
        access("fs.read_file", path=b"/x%d" % number) for number in range(THINGS_KEPT + 1)
    ))  # fmt: skip
    denial, patch = rows[-1]
    assert (denial.is_rest, denial.patch, denial.words, patch.granted) == (True, "", "fs.read_file", ())


def test_all_patches_are_one_with_the_calls_and_the_wider_network(place: Place, tmp_path: Path) -> None:
    wall = made(place, "extends: [default]\n")
    rows = wall.explained(
        access("net.connect_tcp", address="127.0.0.1", port=80),
        access("net.connect_tcp", address="10.0.0.1", port=81),
        access("scope.signal", process=b"x"),
        access("fs.ioctl_dev", path=b"/x"),
    )
    mine = known("mine")
    more = [(patch, row.risk) for row, patch in rows]
    found = explain_denials(Ledger(), mine.policy, mine.settings, "x86_64", more=more)
    assert found.patch == textwrap.dedent("""
        landlock:
          unhandled:
            - ioctl_dev  # risk: medium
            - signal  # risk: medium
        network:
          mode: host  # risk: high""").strip()  # fmt: skip
    assert made(place, f"extends: [default]\n{found.patch}\n").allows(access("net.connect_tcp", port=80))


def test_worst_risk_of_a_line_stands_there() -> None:
    grant = Grant("filesystem", "read", '"/x"')
    patches = [(Patch("x", "y", granted=(grant,)), risk) for risk in (Risk.LOW, Risk.HIGH, Risk.MEDIUM)]
    assert join_patches(known("default").policy, patches).yaml.endswith('filesystem:\n  read:\n    - "/x"  # risk: high')
