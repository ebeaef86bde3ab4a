"""Capabilities: none by default, and the order in which they are given up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.controls import capabilities
from sandboxer.controls.capabilities import Settings, mask
from sandboxer.errors import ProfileError
from sandboxer.model.host import Host
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


def lacks(said: str, host: Host) -> list[str]:
    found = capabilities.need(understood(capabilities, said), host)
    return [f"{lack.what}: {lack.why} - {lack.lost}" for lack in found]


def test_nothing_said_drops_everything_for_root_and_user_alike() -> None:
    expected = text(
        """
        capabilities: keep only capabilities 0x0 in the bounding set
        capabilities: pass capabilities 0x0 on to the command
        capabilities: set securebits 0xef
        capabilities: hold capabilities 0x0 (inheritable 0x0)
        """
    )
    assert steps(lowered(capabilities, "", ORDINARY)) == expected
    assert steps(lowered(capabilities, "", PRIVILEGED)) == expected


def test_kept_and_ambient_are_raised_before_the_securebits_forbid_it() -> None:
    said = "keep: [net_raw, chown]\nambient: [net_raw]"
    assert steps(lowered(capabilities, said, ORDINARY)) == text(
        """
        capabilities: keep only capabilities 0x2001 in the bounding set
        capabilities: hold capabilities 0x2101 (inheritable 0x2000)
        capabilities: pass capabilities 0x2000 on to the command
        capabilities: set securebits 0xef
        capabilities: hold capabilities 0x2001 (inheritable 0x2000)
        """
    )


def test_overridden_no_new_privs_holds_sys_admin_until_execve() -> None:
    shown = steps(lowered(capabilities, "", PRIVILEGED, ALL_NEW | {Trait.CAN_GAIN_PRIVILEGES}))
    assert shown.splitlines()[0] == "capabilities: keep only capabilities 0x0 in the bounding set"
    assert shown.splitlines()[-1] == "capabilities: hold capabilities 0x200000 (inheritable 0x0)"


def test_kernel_spelling_is_taken() -> None:
    assert understood(capabilities, "keep: [CAP_NET_RAW]") == understood(capabilities, "keep: [net_raw]")


def test_unknown_capability_names_the_nearest() -> None:
    with pytest.raises(ProfileError) as caught:
        section(capabilities, "keep: [net_rwa]")
    assert str(caught.value) == (
        "test.yaml:1:8: unknown capability 'net_rwa'\n"
        "  1 | keep: [net_rwa]\n"
        "    |        ^\n"
        "  try: did you mean net_raw or net_admin or net_broadcast?"
    )


def test_drop_wins_over_keep_and_ambient() -> None:
    found = understood(capabilities, both(capabilities, "keep: [net_raw, chown]\nambient: [net_raw]", "drop: [net_raw]"))
    assert found == Settings(keep=frozenset({"chown"}))


def test_ambient_that_is_not_kept_is_refused() -> None:
    with pytest.raises(ProfileError, match=r"net_raw is in `ambient` and not in `keep`"):
        understood(capabilities, "ambient: [net_raw]")


def test_layer_keeps_only_what_both_keep() -> None:
    found = understood(capabilities, under(capabilities, "keep: [net_raw, chown]", "keep: [chown, kill]"))
    assert found == Settings(keep=frozenset({"chown"}))


def test_layer_that_drops_takes_away() -> None:
    found = understood(capabilities, under(capabilities, "keep: [net_raw]", "drop: [net_raw]"))
    assert found == Settings()


def test_securebits_that_are_off_stay_off_with_their_locks() -> None:
    assert "set securebits 0xec" in steps(lowered(capabilities, "securebits_off: [noroot]", ORDINARY))


def test_layer_never_turns_securebits_off() -> None:
    assert understood(capabilities, under(capabilities, "", "securebits_off: [noroot]")) == Settings()


def test_trait_tells_whether_any_is_kept() -> None:
    assert capabilities.traits(understood(capabilities, "keep: [chown]")) == {Trait.KEEPS_CAPABILITIES}
    assert capabilities.traits(understood(capabilities)) == frozenset()


def test_capability_that_the_kernel_does_not_know_is_a_lack_and_left_out() -> None:
    host = replace(ORDINARY, last_capability=37, kernel=(5, 4))
    assert lacks("keep: [bpf, chown]", host) == [
        "the capabilities bpf: the last capability of kernel 5.4 is number 37 - the job goes without bpf"
    ]
    assert "keep only capabilities 0x1 in" in steps(lowered(capabilities, "keep: [bpf, chown]", host))
    assert lacks("keep: [bpf, chown]", ORDINARY) == []


def test_root_without_user_namespaces_keeps_no_more_than_it_has() -> None:
    host = replace(BARE_ROOT, capabilities=BARE_ROOT.capabilities & ~mask(["sys_time"]))
    assert lacks("keep: [sys_time, chown]", host) == [
        "the capabilities sys_time: there is no user namespace, and the caller does not hold them - the job goes without sys_time"
    ]


def test_ordinary_user_without_user_namespaces_drops_what_can_be_dropped() -> None:
    result = lowered(capabilities, "", WITHOUT_USER_NAMESPACES)
    assert steps(result) == "capabilities: hold capabilities 0x0 (inheritable 0x0)"
    assert lines(result).startswith("weakened: no capability is held - the bounding set")


def test_report_says_over_what_they_count() -> None:
    assert lines(lowered(capabilities, "keep: [net_raw]", ORDINARY)) == text(
        """
        bounding set: net_raw; held by the command: nothing; over the box's own namespaces only
        securebits locked on: no_cap_ambient_raise, no_setuid_fixup, noroot
        """
    )


def test_widens_tells_each_set_apart() -> None:
    strict = understood(capabilities)
    wide = understood(capabilities, "keep: [net_raw]\nambient: [net_raw]\nsecurebits_off: [noroot]")
    assert capabilities.widens(strict, wide) == (
        "capabilities.keep: net_raw",
        "capabilities.ambient: net_raw",
        "capabilities.securebits_off: noroot",
    )
    assert capabilities.widens(wide, strict) == ()


def test_explain_of_none_is_one_sentence() -> None:
    assert capabilities.explain(understood(capabilities)) == ("The job holds no capabilities and cannot gain any.",)
