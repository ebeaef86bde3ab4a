"""From what is shown to few rules."""

from __future__ import annotations

from sandboxer.abi.landlock import Kind, mask_of, names_of
from sandboxer.controls.landlock.meaning import ALL
from sandboxer.controls.landlock.rules import path_rules, rights_for
from sandboxer.controls.room import Shown, Use

READ = Use.LIST | Use.READ
WRITE = READ | Use.CHANGE | Use.MAKE


def told(*shown: Shown, handled: frozenset[str] = ALL, everywhere: frozenset[str] = frozenset()) -> dict[str, str]:
    return {rule.path: " ".join(names_of(rule.rights, Kind.FILESYSTEM)) for rule in path_rules(shown, handled, everywhere)}


def test_each_use_is_rights_of_its_own_and_none_is_left_out() -> None:
    every = [rights_for(use) for use in Use]
    assert sum(len(rights) for rights in every) == len(frozenset().union(*every))
    files = {name for name in ALL if mask_of([name], Kind.FILESYSTEM)}
    assert files - frozenset().union(*every) == {"make_char", "make_block"}


def test_file_gets_rights_of_files_only() -> None:
    assert rights_for(WRITE | Use.CONTROL, is_directory=False) == {"read_file", "write_file", "truncate", "ioctl_dev"}


def test_rule_below_one_that_gives_as_much_is_left_out() -> None:
    assert told(Shown("/srv", WRITE), Shown("/srv/in", READ), Shown("/srv/in/deep", Use.READ, is_directory=False)).keys() == {
        "/srv"
    }


def test_rule_that_gives_more_than_the_ones_above_is_kept() -> None:
    assert told(Shown("/srv", READ), Shown("/srv/out", READ | Use.EXECUTE)) == {
        "/srv": "read_file read_dir",
        "/srv/out": "execute read_file read_dir",
    }


def test_rights_of_several_rules_above_count_together() -> None:
    shown = (Shown("/", Use.LIST), Shown("/srv", Use.READ), Shown("/srv/in", READ))
    assert told(*shown).keys() == {"/", "/srv"}


def test_name_that_only_begins_alike_is_not_below() -> None:
    assert told(Shown("/srv", READ), Shown("/srv2", READ)).keys() == {"/srv", "/srv2"}


def test_path_that_is_shown_twice_has_one_rule_with_both_uses() -> None:
    assert told(Shown("/srv", READ), Shown("/srv", Use.EXECUTE)) == {"/srv": "execute read_file read_dir"}


def test_right_that_is_not_handled_is_in_no_rule() -> None:
    assert told(Shown("/srv", READ), Shown("/dev/tty", Use.CONTROL, is_directory=False), handled=frozenset({"read_dir"})) == {
        "/srv": "read_dir"
    }


def test_right_of_the_whole_tree_joins_the_rule_of_the_root() -> None:
    everywhere = frozenset({"refer"})
    assert told(Shown("/", Use.LIST), Shown("/srv", WRITE), handled=frozenset({"read_dir", "refer"}), everywhere=everywhere) == {
        "/": "read_dir refer"
    }
