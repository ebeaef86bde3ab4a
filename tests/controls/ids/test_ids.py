"""Ids: maps and identity changes in both schemes, single and range."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.controls import ids
from sandboxer.errors import ProfileError
from sandboxer.model.host import Host, IdRange
from sandboxer.model.policy import Trait
from tests.controls.rooms import (
    ALL_NEW,
    BARE_ROOT,
    ORDINARY,
    PRIVILEGED,
    WITH_RANGES,
    WITHOUT_USER_NAMESPACES,
    both,
    lines,
    lowered,
    section,
    steps,
    text,
    understood,
)


def lacks(said: str, host: Host) -> list[str]:
    return [f"{lack.what}: {lack.why} - {lack.lost}" for lack in ids.need(understood(ids, said), host)]


def test_nothing_said_is_one_plain_user() -> None:
    assert understood(ids) == ids.Settings(1000, 1000, "sandbox", False, (), None)


def test_host_root_outside_is_refused_with_a_caret() -> None:
    with pytest.raises(ProfileError) as caught:
        section(ids, "outside: 0")
    assert str(caught.value) == (
        "test.yaml:1:10: the job is never the host's root\n"
        "  1 | outside: 0\n"
        "    |          ^\n"
        "  why: host id 0 owns the machine's files\n"
        "  try: nobody, or an id of its own"
    )


def test_other_host_ids_outside_are_taken() -> None:
    assert understood(ids, "outside: 70000") == ids.Settings(outside=70000)


@pytest.mark.parametrize("name", ["Root", "a b", "1a", "a:b", "x" * 33])
def test_name_that_no_passwd_takes_is_refused(name: str) -> None:
    with pytest.raises(ProfileError, match="cannot name a user"):
        section(ids, f'name: "{name}"')


def test_groups_without_a_range_are_refused() -> None:
    with pytest.raises(ProfileError, match="supplementary groups need a range of ids"):
        understood(ids, "groups: [5]")


def test_groups_with_a_range_are_taken() -> None:
    assert understood(ids, "map: range\ngroups: [7, 5]") == ids.Settings(is_range=True, groups=(5, 7))


def test_id_above_the_range_is_refused() -> None:
    with pytest.raises(ProfileError, match="`map: range` maps 0 to 65535"):
        understood(ids, "map: range\nuser: 70000")


def test_two_parents_of_which_one_has_a_range_have_one() -> None:
    assert understood(ids, both(ids, "map: single", "map: range")) == ids.Settings(is_range=True)


def test_ordinary_user_maps_the_own_ids_at_once() -> None:
    assert steps(lowered(ids, "", ORDINARY)) == "identity_early: map ids (uid 1000 1000 1, gid 1000 1000 1)"


def test_privileged_caller_becomes_an_id_of_its_own_and_enters_the_user_namespace_last() -> None:
    assert steps(lowered(ids, "", PRIVILEGED)) == text(
        """
        identity_late: give the pipes of the standard streams to uid 1900000000, gid 1900000000
        identity_late: become uid 1900000000, gid 1900000000
        identity_late: set dumpable to 1
        identity_late: enter new namespaces (flags 0x5e000000)
        identity_late: map ids (uid 1000 1900000000 1, gid 1000 1900000000 1)
        """
    )


def test_privileged_caller_with_the_host_network_does_not_leave_it() -> None:
    shown = steps(lowered(ids, "", PRIVILEGED, ALL_NEW | {Trait.HOST_NETWORK}))
    assert "enter new namespaces (flags 0x1e000000)" in shown


def test_privileged_caller_with_shifted_clocks_enters_the_time_namespace_late() -> None:
    shown = steps(lowered(ids, "", PRIVILEGED, ALL_NEW | {Trait.SHIFTS_CLOCKS}))
    assert "enter new namespaces (flags 0x5e000080)" in shown


def test_ordinary_range_is_mapped_by_the_helpers_and_drops_groups() -> None:
    result = lowered(ids, "map: range\ngroups: [5]", WITH_RANGES)
    assert steps(result) == text(
        """
        meet: wait for the child to ask
        meet: ask /usr/bin/newuidmap to map ids for the child
        meet: ask /usr/bin/newgidmap to map ids for the child
        identity_early: wait for the outside to finish its part
        identity_early: become uid 1000, gid 1000
        """
    )
    arguments = [getattr(step.op, "arguments", None) for step in result.steps]
    assert arguments[1] == ("0", "100000", "1000", "1000", "1000", "1", "1001", "101000", "64535")


def test_privileged_range_is_written_from_outside() -> None:
    host = replace(PRIVILEGED, subuids=(IdRange(100000, 65536),), subgids=(IdRange(100000, 65536),))
    assert steps(lowered(ids, "map: range\nuser: 0\ngroup: 0", host)) == text(
        """
        meet: wait for the child to ask
        meet: map ids for the child (uid 0 1900000000 1
        1 100000 65535, gid 0 1900000000 1
        1 100000 65535)
        identity_late: give the pipes of the standard streams to uid 1900000000, gid 1900000000
        identity_late: enter new namespaces (flags 0x5e000000)
        identity_late: wait for the outside to finish its part
        identity_late: become uid 0, gid 0
        """
    )


def test_range_without_helpers_is_a_lack_and_falls_back_to_a_single_id() -> None:
    assert lacks("map: range", ORDINARY) == [
        "a range of ids: newuidmap and newgidmap are not installed, and only they may map more than the caller's own id"
        " - one user id and one group id exist inside (1000 and 1000), and no supplementary groups"
    ]
    assert steps(lowered(ids, "map: range", ORDINARY)) == steps(lowered(ids, "", ORDINARY))


def test_range_with_helpers_and_ranges_is_no_lack() -> None:
    assert lacks("map: range", WITH_RANGES) == []


def test_range_that_is_too_short_for_the_id_is_a_lack() -> None:
    assert lacks("map: range", replace(WITH_RANGES, subuids=(IdRange(100000, 10),)))


def test_root_without_the_right_to_become_another_is_a_lack() -> None:
    assert lacks("", replace(PRIVILEGED, capabilities=0))[0].startswith("host ids that are not root's: the caller is uid 0")
    assert lacks("", PRIVILEGED) == []


def test_root_without_user_namespaces_keeps_its_rights_until_they_are_dropped() -> None:
    assert steps(lowered(ids, "", BARE_ROOT)) == text(
        """
        identity_late: give the pipes of the standard streams to uid 1900000000, gid 1900000000
        identity_late: enter new namespaces (flags 0x4e000000)
        identity_late: set securebits 0x4
        identity_late: become uid 1900000000, gid 1900000000
        """
    )


def test_ordinary_user_without_user_namespaces_changes_nothing_and_says_so() -> None:
    result = lowered(ids, "", WITHOUT_USER_NAMESPACES)
    assert steps(result) == ""
    assert lines(result) == "weakened: the job is host uid 1000 - uids inside are the host's uids"


def test_joined_user_namespace_is_left_as_it_is() -> None:
    assert steps(lowered(ids, "", ORDINARY, ALL_NEW - {Trait.NEW_USER_NAMESPACE})) == ""


def test_kept_groups_of_an_ordinary_user_are_reported() -> None:
    assert lines(lowered(ids, "", replace(ORDINARY, groups=(1000, 27, 998)))).splitlines() == [
        "uid 1000 and gid 1000 inside are the host's 1000 and 1000",
        "weakened: the caller's supplementary groups stay: 27, 998"
        " - files that these groups may use stay usable where `filesystem` shows them",
    ]


def test_groups_are_not_reported_where_there_are_none_or_they_go() -> None:
    assert "weakened" not in lines(lowered(ids, "", ORDINARY))
    assert "weakened" not in lines(lowered(ids, "", replace(PRIVILEGED, groups=(0, 27))))
    assert "weakened" not in lines(lowered(ids, "map: range", replace(WITH_RANGES, groups=(1000, 27))))


def test_outside_is_reported_unused_for_an_ordinary_user() -> None:
    assert "unused: `outside` is for boxes that root starts" in lines(lowered(ids, "outside: 70000", ORDINARY))


def test_widens_tells_ranges_groups_and_host_ids() -> None:
    strict, wide = understood(ids), understood(ids, "map: range\ngroups: [5]\noutside: 70000")
    assert ids.widens(strict, wide) == (
        "ids.map: range instead of single",
        "ids.groups: 5",
        "ids.outside: 70000 instead of an id of its own",
    )
    assert ids.widens(wide, strict) == ()


def test_explain_says_who_the_job_is() -> None:
    assert ids.explain(understood(ids)) == (
        "The job is sandbox, uid 1000 and gid 1000, inside.",
        "Outside it is the user who starts it, or an id that nobody else has where root does.",
    )


def test_root_in_a_namespace_that_lacks_the_id_of_boxes_falls_back_to_nobody() -> None:
    small = replace(PRIVILEGED, box_id=65534)
    assert "identity_late: become uid 65534, gid 65534" in steps(lowered(ids, "", small))
    assert "identity_late: become uid 7, gid 7" in steps(lowered(ids, "outside: 7", small))
