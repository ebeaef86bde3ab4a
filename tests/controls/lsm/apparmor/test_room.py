"""The section: what it says, what a host lacks for it, and the one step that it becomes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.controls.lsm import apparmor
from sandboxer.controls.room import Scene, Shown, Use
from sandboxer.errors import HostError, ProfileError
from sandboxer.model.host import Unloaded
from sandboxer.model.op import SetExecLabel
from sandboxer.model.stage import Stage
from tests.controls.rooms import ALL_NEW, ORDINARY, child, lines, section, under, understood

GENERATE = "profile: generate"
SCENE = Scene(ORDINARY, ALL_NEW, shown=(Shown("/srv", Use.LIST | Use.READ),))
MADE = apparmor.make_label(SCENE).name


def test_generated_label_is_given_by_its_name_ahead_of_landlock() -> None:
    (step,) = apparmor.lower(understood(apparmor, GENERATE), SCENE).steps
    assert step.stage is Stage.LABEL < Stage.LANDLOCK
    assert step.op == SetExecLabel(f"exec {MADE}", f"{MADE} (enforce)")  # type: ignore[arg-type]
    assert step.place is not None


def test_caller_under_a_profile_has_the_label_stacked_on_his_own_and_the_report_says_both() -> None:
    stacked = replace(SCENE, host=replace(ORDINARY, apparmor_label="outer (enforce)"))
    lowered = apparmor.lower(understood(apparmor, GENERATE), stacked)
    assert [step.op for step in lowered.steps] == [SetExecLabel(f"stack {MADE}", f"{MADE} (enforce)")]  # type: ignore[arg-type]
    assert "and so does outer (enforce), which the caller is under" in lines(lowered)
    assert "outer" not in lines(apparmor.lower(understood(apparmor, GENERATE), SCENE))


def test_caller_whose_profile_does_not_let_it_stack_is_told_so() -> None:
    refused = (Unloaded(MADE, "", "a rule", "it is under another"),)
    with pytest.raises(HostError) as caught:
        apparmor.lower(understood(apparmor, GENERATE), replace(SCENE, host=replace(ORDINARY, unloaded=refused)))
    (problem,) = caught.value.problems
    assert problem.what == f"the AppArmor profile {MADE} cannot be given"
    assert (problem.why, problem.attempt) == ("it is under another; the section `apparmor` is required", "a rule")


def test_label_of_another_is_given_by_its_name_in_the_mode_that_is_said() -> None:
    (step,) = apparmor.lower(understood(apparmor, "{profile: /usr/bin/mine, mode: complain}"), SCENE).steps
    assert step.op == SetExecLabel("exec /usr/bin/mine", "/usr/bin/mine (complain)")  # type: ignore[arg-type]


def test_complaining_label_is_another_one() -> None:
    settings = understood(apparmor, f"{{{GENERATE}, mode: complain}}")
    assert apparmor.label_of(settings, SCENE) == apparmor.make_label(SCENE, is_complaining=True)
    assert "watches and does not hold" in lines(apparmor.lower(settings, SCENE))
    assert "holds the command" in lines(apparmor.lower(understood(apparmor, GENERATE), SCENE))


def unloaded(found: str = "") -> Scene:
    return replace(SCENE, host=replace(ORDINARY, unloaded=(Unloaded(MADE, found, "load it"),)))


def test_required_label_that_is_not_loaded_refuses_with_the_command() -> None:
    with pytest.raises(HostError) as caught:
        apparmor.lower(understood(apparmor, GENERATE), unloaded())
    (problem,) = caught.value.problems
    assert problem.what == f"the AppArmor profile {MADE} is not loaded in the mode enforce"
    assert problem.attempt == "load it"
    assert problem.where is not None


def test_label_in_another_mode_is_told_as_it_is() -> None:
    with pytest.raises(HostError, match=rf"the kernel has it as {MADE} \(complain\)"):
        apparmor.lower(understood(apparmor, GENERATE), unloaded(f"{MADE} (complain)"))


@pytest.mark.parametrize("name", ["unconfined", "'a b'", ":ns:x", "'a&b'", "''", "'a\n'", "'a//&b'", "é"])
def test_what_the_kernel_could_read_otherwise_is_no_name_and_a_plain_one_is(name: str) -> None:
    with pytest.raises(ProfileError):
        section(apparmor, f"profile: {name}" if "\n" not in name else 'profile: "a\\n"')
    assert section(apparmor, "profile: docker-default").values("profile") == ("docker-default",)


def test_own_profile_replaces_an_inherited_one_and_the_stricter_mode_stays() -> None:
    settings = understood(apparmor, child(apparmor, "{profile: mine, mode: complain}", "{profile: generate, mode: enforce}"))
    assert settings == apparmor.Settings("mine", "enforce")
    assert under(apparmor, "mode: complain", "mode: enforce").values("mode") == ("enforce",)


def test_label_that_is_gone_or_only_complains_widens() -> None:
    labelled, plain, loose = (understood(apparmor, text) for text in (GENERATE, "", f"{{{GENERATE}, mode: complain}}"))
    assert apparmor.widens(labelled, plain) == ("apparmor.profile: none instead of generate",)
    assert apparmor.widens(labelled, loose) == ("apparmor.mode: complain",)
    assert apparmor.widens(plain, labelled) == apparmor.widens(loose, labelled) == ()


def test_it_is_explained_in_one_sentence() -> None:
    (sentence,) = apparmor.explain(understood(apparmor, GENERATE))
    assert sentence == "The command is under an AppArmor profile: one that is made from the other sections."
