"""Namespaces: which are new, shared or joined, in both schemes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.controls import namespaces
from sandboxer.controls.namespaces import Settings
from sandboxer.errors import ProfileError
from sandboxer.model.host import Hierarchy, Host
from sandboxer.model.policy import Trait
from tests.controls.rooms import (
    ALL_NEW,
    BARE_ROOT,
    ORDINARY,
    PRIVILEGED,
    WITHOUT_USER_NAMESPACES,
    both,
    lines,
    lowered,
    section,
    steps,
    text,
    under,
    understood,
)

OFFSETS = "time_offsets: {monotonic: 1500ms, boottime: 1h}"


def kinds(said: object) -> dict[str, str]:
    settings = understood(namespaces, said)  # type: ignore[arg-type]
    assert isinstance(settings, Settings)
    return dict(settings.kinds)


def lacks(said: str, host: Host) -> list[str]:
    return [f"{lack.what}: {lack.why} - {lack.lost}" for lack in namespaces.need(understood(namespaces, said), host)]


def test_nothing_said_makes_every_namespace_new() -> None:
    assert set(kinds("").values()) == {"new"}


def test_host_is_taken_where_a_kind_can_be_shared() -> None:
    assert kinds("uts: host")["uts"] == "host"


@pytest.mark.parametrize("kind", ["mount", "user", "net"])
def test_host_is_refused_where_a_kind_cannot_be_shared(kind: str) -> None:
    with pytest.raises(ProfileError):
        section(namespaces, f"{kind}: host")


def test_host_for_net_names_the_section_that_shares_it() -> None:
    with pytest.raises(ProfileError, match=r"network: {mode: host}"):
        section(namespaces, "net: host")


def test_unknown_value_says_what_is_known() -> None:
    with pytest.raises(ProfileError) as caught:
        section(namespaces, "pid: shared")
    assert str(caught.value) == (
        "test.yaml:1:6: unknown namespace 'shared'\n"
        "  1 | pid: shared\n"
        "    |      ^\n"
        "  try: new, host or the absolute path of a namespace file"
    )


def test_two_parents_of_which_one_shares_share() -> None:
    assert kinds(both(namespaces, "pid: new", "pid: host"))["pid"] == "host"


def test_two_different_wide_values_are_refused_with_both_places() -> None:
    with pytest.raises(ProfileError, match=r"host at (other|one)\.yaml:1:6"):
        kinds(both(namespaces, "pid: host", "pid: /proc/7/ns/pid"))


def test_layer_that_wants_new_takes_the_host_away() -> None:
    assert kinds(under(namespaces, "pid: host\nuts: host", "pid: new")) == {**kinds(""), "uts": "host"}


def test_layer_that_wants_the_host_widens_nothing() -> None:
    assert kinds(under(namespaces, "", "pid: host"))["pid"] == "new"


def test_offsets_with_a_shared_time_namespace_are_refused() -> None:
    with pytest.raises(ProfileError, match="try: time: new"):
        kinds(f"{OFFSETS}\ntime: host")


def test_offsets_of_an_unknown_clock_are_refused_with_advice() -> None:
    with pytest.raises(ProfileError, match="did you mean monotonic"):
        section(namespaces, "time_offsets: {monotnic: 1s}")


def test_traits_name_what_is_new_only() -> None:
    found = namespaces.traits(understood(namespaces, "uts: host\nnet: /run/netns/a"))
    assert Trait.NEW_PID_NAMESPACE in found
    assert not {Trait.NEW_UTS_NAMESPACE, Trait.NEW_NET_NAMESPACE, Trait.SHIFTS_CLOCKS} & found


def test_ordinary_user_starts_in_everything_at_once() -> None:
    assert steps(lowered(namespaces, "", ORDINARY)) == text(
        """
        start: start the child in new namespaces (clone flags 0x7e020080)
        private: cut mounts off from the host's
        limits: let no more namespaces be made (flags 0x10000000)
        """
    )


def test_privileged_caller_starts_with_what_mounting_needs() -> None:
    assert steps(lowered(namespaces, "", PRIVILEGED)) == text(
        """
        start: start the child in new namespaces (clone flags 0x20020080)
        private: cut mounts off from the host's
        limits: let no more namespaces be made (flags 0x10000000)
        """
    )


def test_ordinary_user_with_control_groups_has_the_boxs_own_as_the_root_of_its_namespace() -> None:
    """At the clone it would be the launcher's group."""
    delegated = replace(ORDINARY, hierarchies=(Hierarchy(0, "/sys/fs/cgroup", ("memory",), 1),))
    assert steps(lowered(namespaces, "", delegated)) == text(
        """
        start: start the child in new namespaces (clone flags 0x7c020080)
        join: enter new namespaces (flags 0x2000000)
        private: cut mounts off from the host's
        limits: let no more namespaces be made (flags 0x10000000)
        """
    )
    assert "join" not in steps(lowered(namespaces, "cgroup: host", delegated))


def test_ordinary_user_shifts_clocks_after_an_unshare() -> None:
    assert steps(lowered(namespaces, OFFSETS, ORDINARY, ALL_NEW | {Trait.SHIFTS_CLOCKS})) == text(
        """
        start: start the child in new namespaces (clone flags 0x7e020000)
        join: enter new namespaces (flags 0x80)
        private: cut mounts off from the host's
        host: shift the clocks (boottime 3600 0
        monotonic 1 500000000
        )
        limits: let no more namespaces be made (flags 0x10000000)
        """
    )


def test_privileged_caller_leaves_the_unshare_of_time_to_ids() -> None:
    shown = steps(lowered(namespaces, OFFSETS, PRIVILEGED, ALL_NEW | {Trait.SHIFTS_CLOCKS}))
    assert "clone flags 0x20020000" in shown
    assert "host: shift the clocks" in shown
    assert "join:" not in shown


def test_host_network_starts_without_a_network_namespace() -> None:
    assert "clone flags 0x3e020080" in steps(lowered(namespaces, "", ORDINARY, ALL_NEW | {Trait.HOST_NETWORK}))


def test_privileged_caller_joins_a_network_namespace_inside() -> None:
    assert steps(lowered(namespaces, "net: /run/netns/a", PRIVILEGED)) == text(
        """
        start: start the child in new namespaces (clone flags 0x20020080)
        join: join the namespace /run/netns/a
        private: cut mounts off from the host's
        limits: let no more namespaces be made (flags 0x10000000)
        """
    )


def test_privileged_caller_joins_a_pid_namespace_before_the_start() -> None:
    assert steps(lowered(namespaces, "pid: /proc/7/ns/pid", PRIVILEGED)).splitlines()[:2] == [
        "prepare: join the namespace /proc/7/ns/pid",
        "start: start the child in new namespaces (clone flags 0x20080)",
    ]


def test_joined_mounts_are_copied_before_anything_is_changed() -> None:
    assert steps(lowered(namespaces, "mount: /proc/7/ns/mnt", PRIVILEGED)).splitlines()[1:] == [
        "join: join the namespace /proc/7/ns/mnt",
        "join: enter new namespaces (flags 0x20000)",
        "private: cut mounts off from the host's",
        "limits: let no more namespaces be made (flags 0x10000000)",
    ]


def test_ordinary_user_joins_others_through_their_user_namespace() -> None:
    assert steps(lowered(namespaces, "user: /proc/7/ns/user\nnet: /proc/7/ns/net", ORDINARY)).splitlines()[:3] == [
        "prepare: join the namespace /proc/7/ns/user",
        "start: start the child in new namespaces (clone flags 0x2e020080)",
        "join: join the namespace /proc/7/ns/net",
    ]


def test_current_host_lacks_nothing() -> None:
    assert lacks("", ORDINARY) == lacks("", PRIVILEGED) == []


def test_forbidden_user_namespaces_cost_an_ordinary_user_everything() -> None:
    assert lacks("", WITHOUT_USER_NAMESPACES) == [
        "a new user namespace: AppArmor forbids them to ordinary users - every namespace of the box"
    ]


def test_missing_user_namespaces_cost_root_its_walls() -> None:
    assert lacks("", BARE_ROOT) == [
        "a new user namespace: the kernel has no user namespaces (CONFIG_USER_NS)"
        " - the job has the host's ids and no wall around its capabilities"
    ]


def test_missing_time_namespaces_are_a_lack_and_leave_the_rest() -> None:
    host = replace(ORDINARY, namespaces=ORDINARY.namespaces - {"time"}, kernel=(5, 4))
    assert lacks("", host) == [
        "a new time namespace: the kernel 5.4 has no time namespaces"
        " - the box shares with the host the offsets of the monotonic and the boot clock"
    ]
    assert "clone flags 0x7e020000" in steps(lowered(namespaces, "", host))


def test_missing_time_namespaces_do_not_matter_where_time_is_shared() -> None:
    assert lacks("time: host", replace(ORDINARY, namespaces=ORDINARY.namespaces - {"time"})) == []


def test_ordinary_user_cannot_join_what_root_made() -> None:
    assert lacks("net: /run/netns/a", ORDINARY) == [
        "joining the net namespace /run/netns/a: an ordinary user has no rights over a namespace made by others; those come with "
        "the user namespace that owns it - the box gets a new net namespace instead"
    ]
    assert lacks("net: /run/netns/a", PRIVILEGED) == []


def test_mentions_are_the_joined_paths_with_home_put_in() -> None:
    assert namespaces.mentions(understood(namespaces, "net: ~/ns")) == {"/home/user/ns"}


def test_report_names_new_shared_and_joined() -> None:
    assert lines(lowered(namespaces, "uts: host\nnet: /run/netns/a", PRIVILEGED)) == text(
        """
        new namespaces: mount, pid, ipc, user, cgroup, time
        the net namespace is /run/netns/a
        the uts namespace is the host's, as the profile says
        no more can be made in the box: user
        """
    )


def test_widens_tells_new_to_host_and_not_back() -> None:
    strict, wide = understood(namespaces), understood(namespaces, "pid: host")
    assert namespaces.widens(strict, wide) == ("namespaces.pid: host instead of new",)
    assert namespaces.widens(wide, strict) == ()


def test_explain_says_what_is_not_new() -> None:
    assert namespaces.explain(understood(namespaces, f"uts: host\n{OFFSETS}")) == (
        "The box has its own mount, pid, net, ipc, user, cgroup, time namespaces.",
        "It shares the host's uts namespace.",
        "Its clocks are ahead of the host's: boottime by 1h, monotonic by 1s500ms.",
    )
