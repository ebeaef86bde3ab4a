"""The verbs of the room."""

from __future__ import annotations

from collections.abc import Callable

from sandboxer.controls import filesystem
from sandboxer.controls.filesystem.settings import Settings
from sandboxer.controls.room import Room
from sandboxer.model.policy import Trait

Understood = Callable[[str], Settings]


def test_package_has_every_verb_of_a_room() -> None:
    room: Room = filesystem
    assert room.NAME == "filesystem"
    assert not room.STACKED


def test_fields_have_help_and_a_default() -> None:
    assert all(row.help and row.default for row in filesystem.FIELDS)


def test_proc_is_a_trait(understood: Understood) -> None:
    assert filesystem.traits(understood("{}")) == frozenset()
    assert filesystem.traits(understood("proc: fresh")) == {Trait.FRESH_PROC}
    assert filesystem.traits(understood("proc: processes")) == {Trait.FRESH_PROC}


def test_mentions_everything_that_lowering_asks_about(understood: Understood) -> None:
    text = '{read: ["/a?"], hide: [/b], tmpfs: [/m/t], mounts: [{from: /c, to: /m}], working_directory: /m/w}'
    assert filesystem.mentions(understood(text)) == {"/a", "/b", "/m/t", "/c/t", "/m", "/c", "/m/w", "/c/w"}


def test_mentions_proc_only_where_it_is_mounted(understood: Understood) -> None:
    assert "/proc/kcore" not in filesystem.mentions(understood("{}"))
    assert "/proc/kcore" in filesystem.mentions(understood("proc: fresh"))
