"""From what is shown to rules about files, and whether the compiled rules say what the mounts do."""

from __future__ import annotations

import os
import posixpath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxer.controls.lsm.apparmor.files import file_rules, letters_of
from sandboxer.controls.paths import covers, parts
from sandboxer.controls.room import Shown, Use
from sandboxer.verify.apparmor import Automaton, May, read_file_rules
from tests.controls.lsm.apparmor.parser import compiled

READ = Use.LIST | Use.READ
PROGRAMS = READ | Use.EXECUTE
WRITE = READ | Use.CHANGE | Use.MAKE | Use.CONNECT
NOTHING = Use(0)


def told(shown: tuple[Shown, ...], *held: Shown) -> list[str]:
    return [rule.show() for rule in file_rules(shown, held)]


def rules_for(shown: tuple[Shown, ...], *held: Shown) -> Automaton:
    text = "".join(f"  {line},\n" for line in told(shown, *held))
    return read_file_rules(compiled(os.fsencode(f'abi <abi/3.0>,\nprofile "one" {{\n{text}}}\n')))


def letters(rules: Automaton, path: str) -> str:
    return "".join(sorted(rules.at(os.fsencode(path)).letters))


def test_directory_is_granted_with_what_it_holds_and_a_file_alone() -> None:
    assert told((Shown("/srv", READ), Shown("/etc/hosts", Use.READ, is_directory=False))) == [
        '"/" r',
        '"/etc/" r',
        '"/etc/hosts" rk',
        '"/srv/{,**}" rk',
    ]


def test_each_use_is_its_letters() -> None:
    assert letters_of(PROGRAMS, is_directory=True) == "mrkix"
    assert letters_of(WRITE, is_directory=True) == "rwlk"
    assert letters_of(Use.READ | Use.CHANGE | Use.CONTROL, is_directory=False) == "rwk"
    assert letters_of(Use.CONNECT, is_directory=False) == "rw"
    assert letters_of(READ | Use.CONNECT, is_directory=True) == "rk"
    assert letters_of(NOTHING, is_directory=True) == ""


def test_rule_below_one_that_gives_as_much_is_left_out_and_one_that_gives_more_is_kept() -> None:
    shown = (Shown("/srv", READ), Shown("/srv/in", READ), Shown("/srv/run", PROGRAMS))
    assert told(shown) == ['"/" r', '"/srv/{,**}" rk', '"/srv/run/{,**}" mrkix']


def test_path_that_is_hidden_is_denied_and_its_neighbour_is_not() -> None:
    rules = rules_for((Shown("/srv", PROGRAMS | WRITE),), Shown("/srv/.ssh", NOTHING), Shown("/srv/key", NOTHING, False))
    for path in ("/srv/.ssh/", "/srv/.ssh/id", "/srv/.ssh/a/b", "/srv/key"):
        assert letters(rules, path) == "", path
    for path in ("/srv/", "/srv/.sshx", "/srv/keys", "/srv/a/key"):
        assert letters(rules, path) == "klmrwx", path


def test_path_that_stays_read_only_can_be_read_and_executed() -> None:
    rules = rules_for((Shown("/srv", PROGRAMS | WRITE), Shown("/srv/.git", PROGRAMS)))
    assert letters(rules, "/srv/.git/hooks/run") == letters(rules, "/srv/.git/") == "kmrx"
    assert letters(rules, "/srv/.gitignore") == "klmrwx"


def test_name_of_a_file_cannot_be_made_for_one_that_is_denied() -> None:
    """The kernel compares the two: whoever gets a name gets no more than the file's own rules give."""
    rules = rules_for((Shown("/srv", WRITE), Shown("/srv/.git", READ)))
    assert May.L in rules.at(b"/srv/new", target=b"/srv/old")
    assert May.L not in rules.at(b"/srv/.git/new", target=b"/srv/old")


def test_what_is_granted_again_below_is_not_taken_back_above_it() -> None:
    """AppArmor's denials win over every grant, so this one leaves out what is needed; the mounts hold the rest."""
    rules = rules_for((Shown("/tmp", WRITE), Shown("/tmp/a", READ), Shown("/tmp/a/b", WRITE)))
    assert letters(rules, "/tmp/a/b/c") == "klrw"
    without = rules_for((Shown("/tmp", WRITE), Shown("/tmp/a", READ)))
    assert letters(without, "/tmp/a/b/c") == "kr"


def test_names_on_the_way_can_be_read_and_what_lies_beside_cannot() -> None:
    rules = rules_for((Shown("/", Use.LIST), Shown("/home/user/project", WRITE)))
    assert [letters(rules, path) for path in ("/", "/home/", "/home/user/")] == ["r", "r", "r"]
    assert [letters(rules, path) for path in ("/home", "/home/user/.ssh/", "/home/user/x", "/etc/", "/etc/shadow")] == [""] * 5


trees = st.lists(
    st.tuples(
        st.lists(st.sampled_from(("a", "b", "c*", "ü")), min_size=1, max_size=3).map(lambda names: "/" + "/".join(names)),
        st.sampled_from((READ, PROGRAMS, WRITE, PROGRAMS | WRITE)),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda item: item[0],
)
holes = st.lists(st.sampled_from(("/a/b", "/a/b/c*", "/b/a", "/c*/ü", "/ü/a/b")), max_size=2, unique=True)


def by_mounts(path: str, shown: list[Shown], held: list[Shown]) -> Use:
    """What the mounts let the job do: the nearest one decides, and what is hidden is hidden with all below it."""
    if any(covers(item.path, path) for item in held):
        return NOTHING
    over = [item for item in shown if covers(item.path, path)]
    return max(over, key=lambda item: len(parts(item.path))).use if over else NOTHING


@settings(max_examples=60, deadline=None)
@given(trees, holes)
def test_rules_allow_what_the_mounts_do_and_more_only_above_what_is_granted_again(
    tree: list[tuple[str, Use]], hidden: list[str]
) -> None:
    held = [Shown(path, NOTHING) for path in hidden]
    shown = [Shown(path, use) for path, use in tree if not any(covers(one, path) for one in hidden)]
    rules = rules_for(tuple(shown), *held)
    for item in (*shown, *held):
        path = posixpath.join(item.path, "file")
        wanted = set(letters_of(by_mounts(path, shown, held), is_directory=True, execute="x"))
        allowed = set(letters(rules, path))
        assert wanted <= allowed, (path, told(tuple(shown), *held))
        below = [other for other in shown if covers(item.path, other.path) and other.path != item.path]
        if not below:
            assert wanted == allowed, (path, told(tuple(shown), *held))


@pytest.mark.parametrize("order", [1, -1])
def test_order_of_what_is_shown_never_matters(order: int) -> None:
    shown = (Shown("/srv", WRITE), Shown("/srv/a", READ), Shown("/etc/x", Use.READ, False), Shown("/srv", PROGRAMS))
    held = (Shown("/srv/b", NOTHING), Shown("/srv/c", NOTHING))
    assert told(shown[::order], *held[::order]) == told(shown, *held)
