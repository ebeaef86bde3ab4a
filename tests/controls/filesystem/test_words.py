"""The section in sentences, and what one allows that another does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandboxer.controls import filesystem
from sandboxer.controls.filesystem.settings import Settings

Understood = Callable[[str], Settings]


def test_empty_section_says_so(understood: Understood) -> None:
    assert filesystem.explain(understood("{}")) == (
        "The box has an empty, read-only root of its own; of the host it sees only what is named here.",
        "There is no /proc.",
        "The command starts in /.",
    )


def test_every_statement_has_a_sentence(understood: Understood) -> None:
    text = (
        '{read: ["/a?"], write: [/b], mounts: [{from: /c, to: /d}], overlay: [/e], tmpfs: [/f], files: [{path: /g, text: hi}],'
        " symlinks: [{path: /h, target: g}], read_only: [/i], hide: [/j], proc: fresh, proc_mask: [/proc/k]}"
    )
    told = "\n".join(filesystem.explain(understood(text)))
    for word in ("/a?", "/b", "/c at /d", "/e", "/f", "/g", "/h -> g", "/i", "/j", "/proc/k"):
        assert word in told


@pytest.mark.parametrize(
    ("old", "new", "more"),
    [
        ("{}", "read: [/a]", ("may read /a",)),
        ("read: [/a]", "write: [/a]", ("may write /a",)),
        ("read: [/a]", "execute: [/a/b]", ("may execute /a/b",)),
        ("{read: [/a], hide: [/a/b]}", "read: [/a]", ("may read /a/b",)),
        ("{write: [/a], read_only: [/a/b]}", "write: [/a]", ("may write /a/b",)),
        ("{read: [/a], hide: [/a/b]}", "{read: [/a], hide: [/a/b/c]}", ("may read /a/b",)),
        ("{}", "mounts: [{from: /a, to: /b}]", ("may read /a at /b",)),
        ("{}", "proc: processes", ("has a /proc (processes)",)),
        ("{proc: fresh, proc_mask: [/proc/x]}", "proc: fresh", ("/proc/x is no longer covered",)),
        ("tmpfs: [{path: /t, size: 1M}]", "tmpfs: [{path: /t, size: 2M}]", ("may fill /t (2M, mode 0755)",)),
        ("read: [/a]", "read: [{path: /a, as_owner: true}]", ("sees /a as its owner",)),
        ("root_size: 64K", "{}", ("has a root of up to 1048576 bytes",)),
    ],
)
def test_wider_section_says_what_is_more(understood: Understood, old: str, new: str, more: tuple[str, ...]) -> None:
    assert filesystem.widens(understood(old), understood(new)) == more
    assert filesystem.widens(understood(new), understood(new)) == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("write: [/a]", "read: [/a/b]"),
        ("read: [/a]", "{read: [/a], hide: [/a/b]}"),
        ("mounts: [{from: /a, to: /b}]", "mounts: [{from: /a/c, to: /b/c}]"),
        ("proc: fresh", "proc: processes"),
        ("tmpfs: [{path: /t, size: 2M}]", "tmpfs: [{path: /t, size: 1M}]"),
    ],
)
def test_narrower_section_says_nothing(understood: Understood, old: str, new: str) -> None:
    assert filesystem.widens(understood(old), understood(new)) == ()
