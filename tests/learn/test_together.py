"""All that a run was refused, in one patch."""

from __future__ import annotations

from sandboxer.abi import bpf
from sandboxer.learn.denials import explain_denials
from sandboxer.learn.patch import Patch
from sandboxer.learn.together import join_patches
from sandboxer.model.result import Denials, Risk
from sandboxer.run.ledger import Ledger, Use
from tests.learn.profiles import AUDIT_X86_64, Known, Place, known
from tests.learn.waiting import ARCH, NUMBER

CALLS = {"keyctl": (0,), "sync": (), "openat2": (), "chmod": (0, 0o4755), "mknod": (0, 0o024644)}


def denials(profile: Known) -> Denials:
    """What a job is told that makes all of CALLS."""
    ledger = Ledger()
    for call, arguments in CALLS.items():
        ledger.add(Use(AUDIT_X86_64, NUMBER[call], (*arguments, *(0,) * 6)[:6], ()), profile.answer(call, *arguments))
    return explain_denials(ledger, profile.policy, profile.settings, ARCH)


def refused(profile: Known) -> list[str]:
    return [call for call, arguments in CALLS.items() if profile.answer(call, *arguments) != bpf.RET_ALLOW]


def test_shipped_profile_gets_a_whole_file_that_is_applied_as_it_is(place: Place) -> None:
    default = known("default")
    found = denials(default)
    assert found.attempt == "write it to .sandboxer/profiles/my-default.yaml, and run with `-p my-default`"
    (place.root / ".sandboxer/profiles").mkdir(parents=True)
    (place.root / ".sandboxer/profiles/my-default.yaml").write_text(found.patch)
    assert refused(default) == list(CALLS)
    assert refused(known("my-default")) == ["openat2"]  # ENOSYS: there is an older call


def test_own_profile_is_added_to(place: Place) -> None:
    text = "extends: [default]\n"
    found = denials(place.profile(text))
    assert found.attempt == "add to .sandboxer/profiles/mine.yaml"
    assert found.patch.splitlines()[:2] == ["override:", "  - path: seccomp.deny"]
    assert refused(place.profile(f"{text}{found.patch}\n")) == ["openat2"]


def test_line_has_the_highest_risk_of_the_patches_that_need_it(place: Place) -> None:
    patches = [(Patch("x", "y", (), ("sync",)), risk) for risk in (Risk.LOW, Risk.HIGH, Risk.MEDIUM)]
    assert join_patches(place.profile("extends: [default]\n").policy, patches).yaml.splitlines()[-1] == "    - sync  # risk: high"


def test_where_no_patch_helps_there_is_none(place: Place) -> None:
    mine = place.profile("extends: [default]\nrestrict:\n  - {seccomp: {deny: [getpid]}}\n")
    ledger = Ledger()
    ledger.add(Use(AUDIT_X86_64, NUMBER["getpid"], (0,) * 6, ()), mine.answer("getpid"))
    found = explain_denials(ledger, mine.policy, mine.settings, ARCH)
    assert (found.count, found.patch, found.attempt) == (1, "", "")
