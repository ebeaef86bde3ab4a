"""The whole text of a label: every shipped profile compiles, means what it shows, and has the name of what it says."""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import replace

import pytest

from sandboxer.abi.capabilities import CAPABILITIES
from sandboxer.compile.lower import find_scene
from sandboxer.controls import ROOMS
from sandboxer.controls.lsm.apparmor import PREFIX, make_label
from sandboxer.controls.lsm.apparmor.files import letters_of
from sandboxer.controls.lsm.apparmor.text import PEER
from sandboxer.controls.room import Scene, Shown, Use
from sandboxer.errors import ProfileError
from sandboxer.model.host import Host
from sandboxer.model.place import Place
from sandboxer.model.policy import Trait
from sandboxer.verify.apparmor import read_file_rules
from tests.controls.lsm.apparmor.parser import compiled, names
from tests.golden.hosts import HOSTS
from tests.golden.tell import LABELLED, label_on, policy_on, profiles

OWN_NET = frozenset({Trait.NEW_NET_NAMESPACE})
BOX = Scene(Host(), OWN_NET, shown=(Shown("/srv", Use.LIST | Use.READ),))


def rule_lines(scene: Scene) -> list[str]:
    return [line.strip().removesuffix(",") for line in make_label(scene).text.splitlines() if line.startswith("  ")]


def subjects(scene: Scene, word: str) -> list[str]:
    return [line for line in rule_lines(scene) if line.split()[0] == word]


@pytest.mark.parametrize("host", LABELLED)
@pytest.mark.parametrize("profile", profiles())
def test_shipped_profile_compiles_and_its_rules_say_what_its_mounts_do(profile: str, host: str) -> None:
    label = label_on(profile, host)
    scene = find_scene(policy_on(profile, host), HOSTS[host], ROOMS)
    assert names(label.data) == [label.name]
    rules = read_file_rules(compiled(label.data))
    points = {item.path: item for item in scene.shown if item.path != "/"} | {item.path: item for item in scene.held}
    for item in points.values():
        path = posixpath.join(item.path, "a") if item.is_directory else item.path
        wanted = letters_of(item.use, is_directory=item.is_directory, execute="x")
        assert sorted(rules.at(os.fsencode(path)).letters) == sorted(wanted), path
    for path in ("/etc/shadow", "/root/.ssh/id", "/home/user/.ssh/id", "/dev/sda"):
        assert not rules.at(os.fsencode(path)), path


def test_name_is_a_digest_of_what_the_text_says() -> None:
    label = make_label(BOX)
    assert re.fullmatch(PREFIX + "[0-9a-f]{16}", label.name)
    assert make_label(replace(BOX, shown=BOX.shown * 2)) == label
    others = (
        make_label(replace(BOX, traits=frozenset())),
        make_label(replace(BOX, shown=(Shown("/srv2", BOX.shown[0].use),))),
        make_label(replace(BOX, capabilities=1)),
        make_label(BOX, is_complaining=True),
    )
    assert len({label.name, *(other.name for other in others)}) == 5


def test_run_with_files_of_its_own_needs_no_other_label_and_a_profile_with_something_there_has_its_own() -> None:
    tmpfs = Use.LIST | Use.READ | Use.CHANGE | Use.MAKE | Use.CONNECT
    assert make_label(replace(BOX, shown=(*BOX.shown, Shown("/box", tmpfs)))) == make_label(BOX)
    taken = make_label(replace(BOX, shown=(*BOX.shown, Shown("/box/in", Use.LIST | Use.READ))))
    assert '"/box/in/{,**}" rk' in taken.text
    assert '"/box/{,**}"' not in taken.text


def test_language_is_pinned_and_nothing_else_is_read() -> None:
    text = make_label(BOX).text
    assert text.startswith("abi <abi/3.0>,\n")
    assert "include" not in text


def test_complaining_profile_says_so_and_another_does_not() -> None:
    assert "flags=(complain, attach_disconnected, mediate_deleted)" in make_label(BOX, is_complaining=True).text
    assert "complain" not in make_label(BOX).text
    compiled(make_label(BOX, is_complaining=True).data)


def test_box_without_a_network_makes_unix_sockets_only() -> None:
    assert subjects(BOX, "network") == ["network unix"]


@pytest.mark.parametrize(
    "traits", [frozenset(), OWN_NET | {Trait.WANTS_LOOPBACK}, OWN_NET | {Trait.HOST_NETWORK}], ids=["joined", "loopback", "host"]
)
def test_box_with_a_network_makes_sockets_of_it_and_raw_ones_by_capability(traits: frozenset[Trait]) -> None:
    scene = replace(BOX, traits=traits)
    assert {"network inet stream", "network inet6 dgram", "network netlink raw"} <= set(subjects(scene, "network"))
    assert not any("inet raw" in line or "packet" in line for line in rule_lines(scene))
    held = replace(scene, capabilities=1 << CAPABILITIES["net_raw"])
    assert {"network inet raw", "network packet raw"} <= set(subjects(held, "network"))


def test_other_families_are_never_granted() -> None:
    everything = replace(BOX, traits=frozenset(), capabilities=(1 << 41) - 1)
    families = {line.split()[1] for line in subjects(everything, "network")}
    assert families == {"unix", "inet", "inet6", "netlink", "packet"}


def test_job_signals_and_traces_its_own_kind_only() -> None:
    assert subjects(BOX, "signal") == ["signal (receive)", f"signal (send) peer={PEER}"]
    assert subjects(BOX, "ptrace") == ["ptrace (readby, tracedby)", f"ptrace (read, trace) peer={PEER}"]
    assert subjects(BOX, "unix")[1].endswith(f"peer=(label={PEER})")


def test_own_kind_is_the_label_alone_and_stacked_at_either_end() -> None:
    """As the kernel writes a compound label; a name that only begins or ends like it is another one."""
    forms = PEER[2:-2].split(",")
    patterns = [re.compile(re.escape(form.replace("@{profile_name}", "N")).replace(r"\*\*", ".*")) for form in forms]
    own, others = ("N", "a//&N", "N//&z", "a//&N//&z"), ("aN", "Nz", "a", "a//&z", "a//&Nz")
    assert [name for name in (*own, *others) if any(one.fullmatch(name) for one in patterns)] == list(own)


@pytest.mark.parametrize("name", CAPABILITIES)
def test_capability_that_is_held_is_granted_and_no_other_is(name: str) -> None:
    held = replace(BOX, capabilities=1 << CAPABILITIES[name])
    assert subjects(held, "capability") == [f"capability {name}"]
    assert subjects(BOX, "capability") == []


def test_all_capabilities_together_compile() -> None:
    compiled(make_label(replace(BOX, capabilities=(1 << 41) - 1)).data)


def test_mounting_takes_the_capability_for_it() -> None:
    held = replace(BOX, capabilities=1 << CAPABILITIES["sys_admin"])
    assert [subjects(held, word) for word in ("mount", "umount", "pivot_root")] == [["mount"], ["umount"], ["pivot_root"]]
    assert not any(subjects(BOX, word) for word in ("mount", "umount", "pivot_root"))


def test_path_that_cannot_be_said_is_refused_with_its_place() -> None:
    place = Place("mine.yaml", 3, 5)
    with pytest.raises(ProfileError) as caught:
        make_label(replace(BOX, shown=(Shown('/srv/"', Use.READ, place=place),)))
    assert caught.value.problems[0].where == place


def test_box_in_a_joined_mount_namespace_has_no_label() -> None:
    with pytest.raises(ProfileError, match="joined mount namespace"):
        make_label(replace(BOX, traits=frozenset({Trait.JOINED_MOUNT_NAMESPACE})))
