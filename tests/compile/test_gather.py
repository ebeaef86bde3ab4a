"""compile/gather.py: the graph of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandboxer.compile.gather import MAX_CHAIN, MAX_FILES, Library, reachable
from sandboxer.compile.search import Search
from sandboxer.errors import ProfileError
from sandboxer.model.place import option_place
from tests.compile.tree import Tree, fake_words

ASKED = option_place("--profile", "web")


def library(tree: Tree) -> Library:
    return Library(Search(tree.search), fake_words())


def names(tree: Tree, root: str) -> list[str]:
    made = library(tree)
    file = made.open(root, ASKED)
    return [one.profile.name for one in reachable(made.files, file.path, with_layers=True)]


def refusal(tree: Tree, root: str) -> str:
    with pytest.raises(ProfileError) as caught:
        library(tree).open(root, ASKED)
    return str(caught.value)


def test_parents_come_before_their_children(tree: Tree) -> None:
    tree.policy("p")
    tree.profile("top", "policies: [p]\n")
    tree.profile("web", "extends: [top]\nrestrict: [layer]\n")
    tree.policy("layer")
    assert names(tree, "web") == ["p", "top", "layer", "web"]


def test_diamond_is_loaded_once(tree: Tree) -> None:
    tree.profile("top")
    for name in ("left", "right"):
        tree.profile(name, "extends: [top]\n")
    tree.profile("web", "extends: [left, right]\n")
    assert names(tree, "web") == ["top", "left", "right", "web"]


@pytest.mark.parametrize("kind", ["profile", "policy"])
def test_cycle_is_refused_with_its_chain(tree: Tree, kind: str) -> None:
    word = "extends" if kind == "profile" else "policies"
    for name, parent in (("a", "b"), ("b", "c"), ("c", "a")):
        tree.add(kind, name, f"{word}: [{parent}]\n")
    tree.profile("web", f"{word}: [a]\n")
    text = refusal(tree, "web")
    assert "a -> b -> c -> a" in text
    assert f"{kind}s" if kind == "profile" else "policies" in text


def test_file_that_includes_itself_is_refused(tree: Tree) -> None:
    tree.profile("web", "extends: [web]\n")
    assert "web -> web" in refusal(tree, "web")


def test_chain_without_end_is_refused(tree: Tree) -> None:
    for number in range(MAX_CHAIN + 2):
        tree.policy(f"p{number}", f"policies: [p{number + 1}]\n")
    tree.policy(f"p{MAX_CHAIN + 2}")
    tree.profile("web", "policies: [p0]\n")
    assert "in a chain" in refusal(tree, "web")
    tree.profile("short", "policies: [p5]\n")
    assert len(names(tree, "short")) == MAX_CHAIN - 1


def test_too_many_files_are_refused(tree: Tree) -> None:
    for number in range(MAX_FILES):
        tree.policy(f"p{number}")
    tree.profile("web", f"policies: [{', '.join(f'p{number}' for number in range(MAX_FILES))}]\n")
    assert names(tree, "web")
    tree.policy("more")
    tree.profile("web", f"policies: [more, {', '.join(f'p{number}' for number in range(MAX_FILES))}]\n")
    assert f"more than {MAX_FILES} files" in refusal(tree, "web")


def test_problems_of_all_files_are_told_together(tree: Tree) -> None:
    tree.policy("p", "limits: {wall: 90}\n")
    tree.policy("q", "network: {mode: wide}\n")
    tree.profile("web", "policies: [p, q, missing]\nextends: [gone]\n")
    text = refusal(tree, "web")
    for part in ("'90' is not a duration", "unknown value 'wide'", "no policy 'missing'", "no profile 'gone'"):
        assert part in text


def test_broken_file_that_is_named_twice_is_told_once(tree: Tree) -> None:
    tree.policy("p", "limits: {wall: 90}\n")
    tree.policy("q", "policies: [p]\n")
    tree.profile("web", "policies: [p, q]\n")
    assert refusal(tree, "web").count("'90' is not a duration") == 1


def test_profile_is_no_policy_even_if_it_lies_among_them(tree: Tree) -> None:
    path = tree.policy("p")
    path.write_text(path.read_text().replace("kind: policy", "kind: profile"))
    tree.profile("web", "policies: [p]\n")
    assert "this file is a profile" in refusal(tree, "web")


def test_group_is_a_policy_below_syscalls(tree: Tree) -> None:
    tree.policy("syscalls/net", "seccomp: {allow: [socket]}\n")
    made = library(tree)
    assert list(made.group_names()) == ["net"]
    file = made.open_group("net")
    assert file is not None
    assert Path(file.path).name == "net.yaml"
    assert made.open_group("nothing") is None


def test_missing_parent_is_told_with_the_other_mistakes_of_the_file(tree: Tree) -> None:
    tree.profile("web", "extends: [nowhere]\nnonsense: 1\n")
    said = refusal(tree, "web")
    assert "nowhere" in said
    assert "nonsense" in said


def test_parent_that_is_there_is_not_blamed_for_the_mistakes_of_the_file(tree: Tree) -> None:
    tree.profile("top")
    tree.profile("web", "extends: [top]\nnonsense: 1\n")
    assert "top" not in refusal(tree, "web").replace("stop", "")
