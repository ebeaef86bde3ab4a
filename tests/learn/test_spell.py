"""What is written is read back as what was meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxer.abi.arguments_table import ARGUMENTS
from sandboxer.abi.constants import CONSTANTS
from sandboxer.controls.seccomp.grammar import parse_denies, parse_grants
from sandboxer.controls.seccomp.rules import CALLS, Rule, find_arguments, matches
from sandboxer.learn.spell import SELECTORS, find_spelling, narrowest_rule, spell_rule
from sandboxer.model.node import parse_node
from sandboxer.model.place import Place
from sandboxer.model.section import Said
from tests.learn.waiting import ARCH

WORD = st.one_of(st.integers(0, (1 << 64) - 1), st.sampled_from(sorted(CONSTANTS.values())))


@given(st.one_of(st.sampled_from(sorted(SELECTORS)), st.sampled_from(sorted(CALLS))), st.lists(WORD, min_size=6, max_size=6))
def test_narrowest_rule_is_read_back_and_matches(call: str, arguments: list[int]) -> None:
    rule = narrowest_rule(call, ARCH, arguments)
    (said,) = parse_grants(parse_node(f"[{spell_rule(rule)}]".encode(), "t"))
    assert said.value == rule
    assert matches(rule, ARCH, arguments)


def test_selectors_are_arguments_that_there_are() -> None:
    for call, chosen in SELECTORS.items():
        assert call in ARGUMENTS
        assert set(chosen) <= {item.name for item in find_arguments(call, ARCH) or ()}


@pytest.mark.parametrize(
    ("call", "arguments", "text"),
    [
        ("mount", (1, 2, 3, 4, 5, 0), "mount"),
        ("socket", (40, 1 | 0x80000, 0, 0, 0, 0), "{socket: {family: AF_VSOCK, type: {masked: [SOCK_TYPE_MASK, SOCK_STREAM]}, "
                                                  "protocol: 0}}"),
        ("ioctl", (9, 1 << 40 | 0x5412, 7, 0, 0, 0), "{ioctl: {cmd: TIOCSTI}}"),
        ("ioctl", (9, 0xC018F501, 7, 0, 0, 0), '{ioctl: {cmd: "0xc018f501"}}'),
        ("unshare", (0x10020000, 0, 0, 0, 0, 0), '{unshare: {unshare_flags: "CLONE_NEWNS|CLONE_NEWUSER"}}'),
        ("mknod", (0, 0o020666, 5, 0, 0, 0), "{mknod: {mode: {masked: [S_IFMT, S_IFCHR]}}}"),
    ],
)  # fmt: skip
def test_rules_are_written_as_people_write_them(call: str, arguments: tuple[int, ...], text: str) -> None:
    assert spell_rule(narrowest_rule(call, ARCH, arguments)) == text


def said_in(text: str) -> Said:
    (said,) = parse_denies(parse_node(text.encode(), "t"))
    return said


@pytest.mark.parametrize(
    "entry",
    [
        "ptrace",
        "{ioctl: {cmd: {in: [TIOCSTI, TIOCLINUX]}}}",
        "{chmod: {mode: {masked: [S_ISUID, S_ISUID]}}}",
        '{mmap: {expr: "(prot & (PROT_WRITE|PROT_EXEC)) == (PROT_WRITE|PROT_EXEC)"}}',
        "{ptrace: {}, action: kill_process}",
        '"@network"',
    ],
)
def test_deny_is_spelled_as_its_line_has_it(entry: str) -> None:
    spelled = find_spelling(said_in(f"- {entry}  # a reason\n"))
    assert said_in(f"- {spelled}\n").value == said_in(f"- {entry}\n").value


def test_deny_of_several_lines_is_spelled_by_its_value() -> None:
    said = said_in("- socket:\n    family: AF_VSOCK\n    type: {masked: [SOCK_TYPE_MASK, SOCK_STREAM]}\n")
    assert find_spelling(said) == "{socket: {family: AF_VSOCK, type: {masked: [SOCK_TYPE_MASK, SOCK_STREAM]}}}"


def test_deny_that_cannot_be_told_is_not_guessed() -> None:
    assert find_spelling(Said(Rule("kill", answer=0x80000000), Place("t", 1, 1, "- kill"))) == ""
