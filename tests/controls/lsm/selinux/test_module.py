"""The whole text of a module: every shipped profile compiles over a policy, and grants nothing that no box may have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.abi.capabilities import CAPABILITIES
from sandboxer.controls.lsm.selinux import PREFIX, SHARED_TYPE, make_module
from sandboxer.controls.lsm.selinux.types import DEVICES, TREES
from sandboxer.controls.room import Scene, Shown, Use
from sandboxer.errors import ProfileError
from sandboxer.model.host import Host
from sandboxer.model.policy import Trait
from tests.controls.lsm.selinux.compiler import complaint
from tests.golden.tell import LABELLED, module_on, profiles

OWN_NET = frozenset({Trait.NEW_NET_NAMESPACE})
READ = Use.LIST | Use.READ
WRITE = READ | Use.CHANGE | Use.MAKE
BOX = Scene(
    Host(),
    OWN_NET,
    shown=(Shown("/", Use.LIST, is_own=True), Shown("/usr", READ | Use.EXECUTE), Shown("/tmp", WRITE, is_own=True)),
)
SECRETS = """
(neverallow {name}_t secret (file (read write append execute open)))
(neverallow {name}_t secret (dir (read write search open)))
(neverallow {name}_t secret (chr_file (read write open)))
(neverallow {name}_t secret (blk_file (read write open)))
(neverallow {name}_t device_t (chr_file (read write open)))
(neverallow {name}_t fixed_disk_device_t (blk_file (read write getattr)))
(neverallow {name}_t usr_t (file (write append create unlink)))
(neverallow {name}_t etc_t (file (write append execute)))
(neverallow {name}_t unconfined_t (process (signal sigkill ptrace transition)))
(neverallow {name}_t domain (process (transition)))
(neverallow {name}_t domain (unix_stream_socket (connectto)))
(neverallow {name}_t domain (fifo_file (open)))
(neverallow {name}_t ptynode (chr_file (open)))
(neverallow {name}_t tmpfs_t (file (open execute_no_trans)))
"""
"""What the machine's policy calls a secret, and what else no box may do whatever its profile says."""


def with_shown(*items: Shown) -> Scene:
    return replace(BOX, shown=(*BOX.shown, *items))


def rules(scene: Scene, *marks: str) -> list[str]:
    """The lines of a module with all of these in them, its name as @."""
    module = make_module(scene)
    return [line for line in module.text.replace(f"{module.name}_", "@").splitlines() if all(mark in line for mark in marks)]


@pytest.mark.parametrize("host", LABELLED)
@pytest.mark.parametrize("profile", profiles())
def test_shipped_profile_compiles_and_reaches_no_secret(profile: str, host: str) -> None:
    module = module_on(profile, host)
    assert complaint(module.text, SECRETS.format(name=module.name)) == ""


@pytest.mark.parametrize(
    "rule",
    ["shadow_t (file (read))", "usr_t (file (write))", "device_t (chr_file (read))", "unconfined_t (process (signal))"],
)
def test_compiler_tells_a_module_that_grants_more(rule: str) -> None:
    module = make_module(BOX)
    more = f"(allow {module.domain} {rule})"
    assert "neverallow" in complaint(module.text + more, SECRETS.format(name=module.name)).lower()
    assert complaint(module.text + more) == ""


@pytest.mark.parametrize("has_levels", [True, False])
@pytest.mark.parametrize("with_shared", [True, False])
def test_module_stands_alone_and_needs_no_levels(with_shared: bool, has_levels: bool) -> None:
    text = make_module(with_shown(Shown("/srv/work", WRITE))).text
    assert complaint(text, with_shared=with_shared, has_levels=has_levels) == ""


def test_name_is_a_digest_of_what_is_said() -> None:
    module = make_module(BOX)
    assert module.name.startswith(PREFIX)
    assert make_module(replace(BOX, host=Host(uid=7, cwd="/elsewhere"))) == module
    assert make_module(with_shown(Shown("/srv/one", READ))) == make_module(with_shown(Shown("/srv/two", READ)))
    assert make_module(with_shown(Shown("/srv/one", READ))).name != module.name
    assert "@" not in module.text


def test_joined_mount_namespace_has_no_module() -> None:
    with pytest.raises(ProfileError, match="joined mount namespace"):
        make_module(replace(BOX, traits=frozenset({Trait.JOINED_MOUNT_NAMESPACE})))


def test_types_are_those_of_the_trees_that_are_shown_and_are_executed_only_where_they_may_be() -> None:
    assert rules(BOX, "@read (bin_t)")
    assert rules(BOX, "@run (bin_t)")
    assert not rules(BOX, "(etc_t)")
    etc = with_shown(Shown("/etc/ssl", READ | Use.EXECUTE))
    assert rules(etc, "@read (etc_t)")
    assert not rules(etc, "@run (etc_t)")
    data = replace(BOX, shown=(Shown("/usr/share", READ),))
    assert rules(data, "@read (bin_t)")
    assert not rules(data, "typeattributeset @run ")
    assert not rules(replace(BOX, shown=(Shown("/usr", WRITE | Use.EXECUTE, is_own=True),)), "bin_t")


def test_own_files_are_executed_only_where_a_place_to_make_some_may_have_programs() -> None:
    assert not rules(BOX, "(allow @t @file_t (file", "execute")
    assert not rules(with_shown(Shown("/srv/x", WRITE | Use.EXECUTE)), "(allow @t @file_t (file", "execute")
    assert rules(with_shown(Shown("/srv/x", WRITE | Use.EXECUTE, is_own=True)), "(allow @t @file_t (file", "execute")


def test_directories_of_the_host_need_the_shared_type_and_are_written_only_where_one_is() -> None:
    assert rules(BOX, SHARED_TYPE) == rules(BOX, "@own_shared")
    tight = with_shown(Shown("/srv/data", READ))
    (rule,) = rules(tight, "(optional @shared ")
    assert "write" not in rule
    assert not rules(tight, "rangetransition")
    (rule,) = rules(with_shown(Shown("/srv/work", WRITE)), "(optional @shared ")
    assert "write" in rule
    assert rules(with_shown(Shown("/srv/work", WRITE)), "rangetransition")


@pytest.mark.parametrize(
    ("scene", "is_open"),
    [
        (BOX, False),
        (replace(BOX, traits=frozenset()), True),
        (replace(BOX, traits=OWN_NET | {Trait.WANTS_LOOPBACK}), True),
        (replace(BOX, capabilities=1 << CAPABILITIES["net_admin"]), True),
    ],
)
def test_sockets_of_a_network_are_made_where_there_is_one(scene: Scene, is_open: bool) -> None:
    assert bool(rules(scene, "tcp_socket")) == is_open
    assert rules(scene, "unix_stream_socket")
    assert not rules(scene, "packet_socket")


def test_raw_sockets_need_the_capability() -> None:
    assert rules(replace(BOX, traits=frozenset(), capabilities=1 << CAPABILITIES["net_raw"]), "packet_socket")


def test_capabilities_are_those_that_the_job_can_hold() -> None:
    assert not rules(BOX, "cap_userns")
    held = (1 << CAPABILITIES["chown"]) | (1 << CAPABILITIES["bpf"])
    found = rules(replace(BOX, capabilities=held), "userns")
    assert [line.split("(")[-1].rstrip(")") for line in found] == ["chown", "bpf"]
    assert "cap2_userns" in found[1]
    assert not rules(BOX, "(allow @t @file_t (filesystem", "mount")
    assert rules(replace(BOX, capabilities=1 << CAPABILITIES["sys_admin"]), "(allow @t @file_t (filesystem", "mount")


def test_keys_are_for_boxes_that_may_use_them() -> None:
    assert not rules(BOX, "(allow", "(key")
    assert rules(replace(BOX, traits=OWN_NET | {Trait.USES_KEYRINGS}), "(allow", "(key")


def test_devices_are_those_that_are_shown() -> None:
    assert not rules(BOX, "typeattributeset @device ")
    assert len(rules(with_shown(Shown("/dev/null", Use.READ, is_directory=False)), "@device (null_device_t)")) == 1


def test_each_constraint_asks_for_the_categories_of_the_boxes_own_alone() -> None:
    found = rules(BOX, "mlsconstrain")
    assert found
    assert all(line.endswith("(or (dom h1 h2) (or (neq t1 @t) (neq t2 @own))))") for line in found)


def test_tables_hold_no_type_of_secrets_homes_disks_or_settings() -> None:
    types = {name for tree in TREES for name in (*tree.read, *tree.run)} | set(DEVICES.values())
    words = ("shadow", "home", "secret", "key", "sysctl", "disk", "memory", "kmsg", "security", "tmp", "var_t", "log", "priv")
    assert not [name for name in types if any(word in name for word in words)]
    assert all(set(tree.run) <= set(tree.read) for tree in TREES)
