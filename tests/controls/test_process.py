"""Process attributes, each at its stage."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.controls import process
from sandboxer.controls.process import Settings
from sandboxer.controls.room import Want
from sandboxer.errors import ProfileError
from sandboxer.model.host import Hierarchy
from sandboxer.model.policy import Trait
from tests.controls.rooms import (
    ALL_NEW,
    ORDINARY,
    PRIVILEGED,
    WITHOUT_USER_NAMESPACES,
    both,
    child,
    lines,
    lowered,
    section,
    steps,
    text,
    under,
    understood,
)

PLAIN = text(
    """
    session: die when the monitor dies (signal 9)
    session: close every descriptor above 2 except ()
    session: begin a new session without a terminal
    host: name the host sandbox
    place: set the umask to 022
    capabilities: give up gaining privileges
    init: die when the monitor dies (signal 9)
    init: set dumpable to 0
    init: leave a reaper as pid 1
    """
)


def test_nothing_said_is_strict_for_root_and_user_alike() -> None:
    assert steps(lowered(process, "", ORDINARY)) == PLAIN
    assert steps(lowered(process, "", PRIVILEGED)) == PLAIN


def test_terminal_is_opened_behind_the_init() -> None:
    assert (
        steps(lowered(process, "", ORDINARY, ALL_NEW | {Trait.HAS_TERMINAL})) == PLAIN + "\nterminal: open a terminal of its own"
    )


def test_job_that_may_use_keyrings_begins_with_an_empty_one() -> None:
    assert "host: begin with an empty session keyring" in steps(lowered(process, "", ORDINARY, ALL_NEW | {Trait.USES_KEYRINGS}))
    assert "keyring" not in PLAIN


def test_init_false_leaves_the_command_alone() -> None:
    assert "reaper" not in steps(lowered(process, "init: false", ORDINARY))


def test_shared_pid_namespace_makes_the_monitor_adopt_orphans() -> None:
    shown = steps(lowered(process, "init: false", ORDINARY, ALL_NEW - {Trait.NEW_PID_NAMESPACE}))
    assert shown.splitlines()[0] == "prepare: adopt the orphans of the box"


SHARED_PIDS = ALL_NEW - {Trait.NEW_PID_NAMESPACE}
V2 = Hierarchy(0, "/c", ("memory", "pids"))
V1 = Hierarchy(3, "/c/pids", ("pids",))


@pytest.mark.parametrize(
    ("kernel", "trees", "file", "want"),
    [
        ((6, 1), (V2,), "cgroup.kill", Want(0)),
        ((6, 1), (Hierarchy(0, "/c"), V1), "cgroup.kill", Want(0)),
        ((5, 13), (V2,), "cgroup.freeze", Want(0)),
        ((6, 1), (V1,), "pids.max", Want(3, "pids")),
    ],
)
def test_shared_pid_namespace_has_a_group_that_tells_what_is_the_boxs(
    kernel: tuple[int, int], trees: tuple[Hierarchy, ...], file: str, want: Want
) -> None:
    result = lowered(process, "init: false", replace(ORDINARY, hierarchies=trees, kernel=kernel), SHARED_PIDS)
    assert f"prepare: at the end kill whatever is in its control group (by {file})" in steps(result)
    assert "killed when it ends: all of its control group" in lines(result)
    assert result.groups == (want,)


def test_shared_pid_namespace_without_a_group_says_so() -> None:
    for trees in ((), (Hierarchy(1, "/c/memory", ("memory",)),)):
        result = lowered(process, "init: false", replace(ORDINARY, hierarchies=trees), SHARED_PIDS)
        assert ("kill whatever" in steps(result), result.groups) == (False, ())
        assert "killed when it ends: one by one" in lines(result)


def test_pid_namespace_of_its_own_needs_no_group() -> None:
    assert lowered(process, "", replace(ORDINARY, hierarchies=(V2,))).groups == ()


def test_shared_uts_namespace_is_not_renamed() -> None:
    result = lowered(process, "hostname: web", ORDINARY, ALL_NEW - {Trait.NEW_UTS_NAMESPACE})
    assert "name the host" not in steps(result)
    assert "unused: hostname has no effect" in lines(result)


def test_missing_uts_namespace_is_not_renamed_and_reported() -> None:
    result = lowered(process, "", replace(ORDINARY, namespaces=ORDINARY.namespaces - {"uts"}))
    assert "name the host" not in steps(result)
    assert "weakened: the host name is the host's - the host's name is seen, not sandbox" in lines(result)


def test_forbidden_user_namespaces_leave_the_host_name_alone() -> None:
    assert "name the host" not in steps(lowered(process, "", WITHOUT_USER_NAMESPACES))


def test_strict_demand_wins_over_a_lax_one() -> None:
    assert understood(process, both(process, "init: false", "init: true")) == Settings()


def test_child_cannot_give_up_what_its_parent_demands() -> None:
    assert understood(process, child(process, "no_new_privs: false", "no_new_privs: true")) == Settings()


def test_child_can_give_up_what_nobody_demands() -> None:
    assert understood(process, child(process, "init: false", "umask: '077'")) == Settings(has_init=False, umask=0o077)


def test_layer_can_demand() -> None:
    assert understood(process, under(process, "new_session: false", "new_session: true")) == Settings()


def test_traits_tell_init_and_gains() -> None:
    assert process.traits(understood(process)) == {Trait.HAS_INIT}
    lax = understood(process, "init: false\nno_new_privs: false")
    assert process.traits(lax) == {Trait.CAN_GAIN_PRIVILEGES}


def test_no_new_privs_that_was_given_up_is_not_set() -> None:
    assert "give up gaining" not in steps(lowered(process, "no_new_privs: false", PRIVILEGED))


def test_descriptors_that_are_listed_stay_open() -> None:
    assert "close every descriptor above 2 except (3, 5)" in steps(lowered(process, "fds: [5, 3]", ORDINARY))


@pytest.mark.parametrize("fd", ["2", "-1", "1024"])
def test_descriptors_of_the_streams_or_out_of_range_are_refused(fd: str) -> None:
    with pytest.raises(ProfileError, match="is out of range"):
        section(process, f"fds: [{fd}]")


def test_umask_without_quotes_is_refused_with_a_caret() -> None:
    with pytest.raises(ProfileError) as caught:
        section(process, "umask: 22")
    assert str(caught.value) == (
        "test.yaml:1:8: expected an octal mode in quotes, found '22'\n"
        "  1 | umask: 22\n"
        "    |        ^\n"
        "  why: YAML readers disagree about what a bare 022 is\n"
        '  try: "022"'
    )


def test_umask_in_quotes_is_set() -> None:
    assert "set the umask to 077" in steps(lowered(process, 'umask: "077"', ORDINARY))


@pytest.mark.parametrize("name", ["-x", "a_b", "x" * 65, "a/b", ""])
def test_hostname_that_no_host_has_is_refused(name: str) -> None:
    with pytest.raises(ProfileError, match="cannot name a host"):
        section(process, f'hostname: "{name}"')


def test_hostname_with_dots_is_set() -> None:
    assert "name the host ci-7.local" in steps(lowered(process, "hostname: ci-7.local", ORDINARY))


def test_widens_tells_demands_and_descriptors() -> None:
    strict, wide = understood(process), understood(process, "init: false\nno_new_privs: false\nfds: [3]")
    assert process.widens(strict, wide) == ("process.init: false", "process.no_new_privs: false", "process.fds: 3")
    assert process.widens(wide, strict) == ()


def test_explain_is_whole_sentences() -> None:
    assert process.explain(understood(process)) == (
        "A reaper is pid 1, and the command its child.",
        "It has a session of its own.",
        "Nothing it starts gains rights.",
        "Descriptors above 2 that it gets: nothing.",
        "The host name is sandbox, the umask 022.",
    )
