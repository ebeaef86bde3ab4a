"""The section: what it says, what a host lacks for it, and the two steps that it becomes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.controls.lsm import selinux
from sandboxer.controls.room import Scene, Shown, Use
from sandboxer.errors import HostError, ProfileError
from sandboxer.model.host import Unloaded
from sandboxer.model.op import LabelMounts, SetExecContext
from sandboxer.model.policy import Enforce, Trait
from sandboxer.model.stage import Stage
from tests.controls.rooms import ALL_NEW, ORDINARY, child, lines, section, understood

GENERATE = "type: generate"
PERMISSIVE = replace(ORDINARY, is_permissive=True)
WITHOUT_LEVELS = replace(ORDINARY, selinux_context="user_u:user_r:user_t")
SCENE = Scene(ORDINARY, ALL_NEW, shown=(Shown("/srv", Use.LIST | Use.READ),))
MADE = selinux.make_module(SCENE)


def contexts(text: str, scene: Scene = SCENE) -> tuple[str, str]:
    """Of the command, and of its files."""
    files, command = (step.op for step in selinux.lower(understood(selinux, text), scene).steps)
    assert isinstance(files, LabelMounts)
    assert isinstance(command, SetExecContext)
    return command.context, files.context


def test_mounts_are_labelled_ahead_of_the_first_and_the_command_behind_its_terminal() -> None:
    settings = understood(selinux, GENERATE)
    lowered = selinux.lower(settings, SCENE)
    assert [step.stage for step in lowered.steps] == [Stage.SOURCES, Stage.LABEL]
    assert selinux.traits(settings) == {Trait.HAS_LABEL}
    assert f"the SELinux domain {MADE.domain} holds the command with two categories of its own" in lines(lowered)


def test_user_role_and_sensitivity_are_the_callers_and_the_pair_is_left_open() -> None:
    host = replace(ORDINARY, selinux_context="staff_u:staff_r:staff_t:s0-s0:c0.c9")
    assert contexts(GENERATE, replace(SCENE, host=host)) == (
        f"staff_u:staff_r:{MADE.domain}:s0:c???,c???",
        f"staff_u:object_r:{MADE.file_type}:s0:c???,c???",
    )


@pytest.mark.parametrize(
    ("said", "ending"), [("none", "s0"), ("'c12,c345'", "s0:c12,c345"), ("'c345,c12'", "s0:c12,c345"), ("own", "s0:c???,c???")]
)
def test_categories_are_as_said(said: str, ending: str) -> None:
    assert all(context.endswith(f"_t:{ending}") for context in contexts(f"{{{GENERATE}, categories: {said}}}"))


@pytest.mark.parametrize("said", ["c1", "'c1,c1'", "'c1,c1024'", "'c01,c2'", "'c1,c2,c3'", "all", "''", "'c1.c2'", "'c1,c2 '"])
def test_other_categories_are_refused(said: str) -> None:
    with pytest.raises(ProfileError, match="no pair of categories"):
        section(selinux, f"categories: {said}")


def test_domain_by_name_has_the_files_of_its_own() -> None:
    command, files = contexts("type: container_t")
    assert (command.split(":")[2], files.split(":")[2]) == ("container_t", "container_file_t")
    assert contexts("{type: mine_t, file_type: mine_file_t}")[1].split(":")[2] == "mine_file_t"


def test_domain_by_name_without_a_type_for_files_is_refused_and_one_without_use_too() -> None:
    with pytest.raises(ProfileError, match="which type the files of a box in mine_t have"):
        understood(selinux, "type: mine_t")
    with pytest.raises(ProfileError, match="has no use here"):
        understood(selinux, "{type: generate, file_type: mine_t}")


@pytest.mark.parametrize("name", ["'a b'", "'a:b'", "''", "1t", "é", "'a\tb'", "'t,c1'", "'-t'"])
def test_what_could_be_more_than_a_type_is_no_name_and_a_plain_one_is(name: str) -> None:
    with pytest.raises(ProfileError):
        section(selinux, f"type: {name}" if "\t" not in name else 'type: "a\\tb"')
    assert section(selinux, "type: container_t").values("type") == ("container_t",)


def test_permissive_host_lacks_what_holds_and_gives_the_label_all_the_same() -> None:
    settings = understood(selinux, GENERATE)
    (lack,) = selinux.need(settings, PERMISSIVE)
    assert (lack.what, lack.attempt) == ("SELinux is permissive", "sudo setenforce 1")
    lowered = selinux.lower(settings, replace(SCENE, host=PERMISSIVE, enforce=Enforce.BEST_EFFORT))
    assert (len(lowered.steps), lowered.lines) == (2, ())


def test_policy_without_levels_lacks_categories_that_are_wanted() -> None:
    (lack,) = selinux.need(understood(selinux, GENERATE), WITHOUT_LEVELS)
    assert lack.attempt == "selinux: {categories: none}"
    text = f"{{{GENERATE}, categories: none}}"
    assert selinux.need(understood(selinux, text), WITHOUT_LEVELS) == ()
    assert contexts(text, replace(SCENE, host=WITHOUT_LEVELS))[0] == f"user_u:user_r:{MADE.domain}"


def unloaded(name: str) -> Scene:
    return replace(SCENE, host=replace(ORDINARY, unloaded=(Unloaded(name, "it is not loaded", "load it"),)))


@pytest.mark.parametrize("name", [MADE.domain, MADE.file_type])
def test_required_domain_that_cannot_be_had_is_refused_with_the_command(name: str) -> None:
    with pytest.raises(HostError) as caught:
        selinux.lower(understood(selinux, GENERATE), unloaded(name))
    (problem,) = caught.value.problems
    assert problem.what == f"the SELinux domain {MADE.domain} cannot hold the command"
    assert (problem.why, problem.attempt) == ("it is not loaded; the section `selinux` is required", "load it")
    assert problem.where is not None


def test_own_domain_replaces_an_inherited_one() -> None:
    assert understood(selinux, child(selinux, "type: container_t", GENERATE)).type == "container_t"  # type: ignore[attr-defined]


def test_domain_or_pair_that_is_gone_widens() -> None:
    made, plain, shared, free = (
        understood(selinux, text)
        for text in (GENERATE, "", "{type: generate, categories: 'c1,c2'}", "{type: generate, categories: none}")
    )
    assert selinux.widens(made, plain) == ("selinux.type: none instead of generate",)
    assert selinux.widens(made, shared) == ("selinux.categories: c1,c2",)
    assert selinux.widens(shared, free) == ("selinux.categories: none",)
    assert selinux.widens(plain, made) == selinux.widens(free, shared) == selinux.widens(shared, made) == ()


def test_it_is_explained_in_one_sentence() -> None:
    (sentence,) = selinux.explain(understood(selinux, GENERATE))
    assert sentence == (
        "The command is in an SELinux domain: one that is made from the other sections, "
        "with two categories that no other box has."
    )


def test_sockets_are_refused_by_a_module_of_a_box_without_a_network_that_is_enforced() -> None:
    made = understood(selinux, GENERATE)
    assert selinux.refuses_sockets(made, SCENE)
    assert not selinux.refuses_sockets(made, replace(SCENE, host=PERMISSIVE))
    assert not selinux.refuses_sockets(made, replace(SCENE, traits=frozenset()))
    assert not selinux.refuses_sockets(understood(selinux, "type: container_t"), SCENE)
