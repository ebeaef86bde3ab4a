"""Rules as YAML: the grammar reads back the same rule, whatever the conditions are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxer.abi import bpf
from sandboxer.abi.errnos import Errno
from sandboxer.controls.seccomp import bits
from sandboxer.controls.seccomp import cases as algebra
from sandboxer.controls.seccomp.grammar import parse_rule
from sandboxer.controls.seccomp.rules import NO_ANSWER, Rule, When, find_arguments
from sandboxer.export.yaml_rules import write_comment, write_rule
from sandboxer.model.node import parse_node

CALLS = ("socket", "ioctl", "prctl", "chmod", "lseek", "clone", "mmap", "getpid", "futex")
WHENS = st.sampled_from(
    [
        When(),
        When(("aarch64", "x86_64")),
        When(kernel=((5, 8), (6, 1))),
        When(held=1 << 21, unheld=3),
        When(("riscv64",), ((4, 8), (0, 0)), 1, 2),
    ]
)
ANSWERS = st.sampled_from(
    [
        NO_ANSWER,
        bpf.RET_LOG,
        bpf.RET_TRAP,
        bpf.RET_KILL_PROCESS,
        bpf.RET_KILL_THREAD,
        bpf.RET_USER_NOTIF,
        bpf.RET_ERRNO | Errno.EACCES,
    ]
)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    call = draw(st.sampled_from(CALLS))
    cases = algebra.EVERY
    known = [argument for argument in find_arguments(call, "x86_64") or () if not argument.is_pointer]
    for argument in draw(st.lists(st.sampled_from(known), max_size=3)) if known else ():
        mask = draw(st.one_of(st.just(argument.mask), st.integers(1, argument.mask), st.sampled_from([1, 15, 0xFF00, 0x60])))
        mask &= argument.mask
        ends = st.one_of(st.integers(0, 40), st.integers(0, mask))
        pairs = draw(st.lists(st.tuples(ends, ends), min_size=1, max_size=4))
        ranges = bits.normal([(min(pair), max(pair)) for pair in pairs], mask)
        ranges = bits.complement(ranges, mask) if draw(st.booleans()) else ranges
        narrowed = algebra.all_hold(call, cases, algebra.one_of(argument, mask, ranges))
        cases = narrowed or cases
    return Rule(call, cases, draw(ANSWERS), draw(WHENS))


@given(rules())
def test_written_rule_is_read_as_the_same(rule: Rule) -> None:
    text = write_rule(rule)
    is_grant = rule.answer in (NO_ANSWER, bpf.RET_LOG)
    assert parse_rule(parse_node(text.encode(), "x.yaml"), is_grant=is_grant) == rule, text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("{socket: {family: 16}}", "{socket: {family: AF_NETLINK}}"),
        ("{socket: {family: {not: 16}}}", "{socket: {family: {not: AF_NETLINK}}}"),
        ("{personality: {personality: {in: [0, 8]}}}", "{personality: {personality: {in: [PER_LINUX, PER_LINUX32]}}}"),
        ("{lseek: {offset: {ge: 100000}}}", '{lseek: {offset: {ge: "0x186a0"}}}'),
        ("{clone: {clone_flags: {none_of: [CLONE_NEWUSER, CLONE_NEWNS]}}}",
         '{clone: {clone_flags: {masked: ["CLONE_NEWNS|CLONE_NEWUSER", 0]}}}'),
        ('{socket: {expr: "type & 1 == 1 && type & 0x10 == 0"}}', '{socket: {expr: "type & 0x1 == 0x1 && type & 0x10 == 0x0"}}'),
    ],
)  # fmt: skip
def test_rule_is_written_as_a_person_would(text: str, written: str) -> None:
    rule = parse_rule(parse_node(text.encode(), "x.yaml"))
    assert isinstance(rule, Rule)
    assert write_rule(rule) == written


@given(st.text())
def test_comment_stays_a_comment(text: str) -> None:
    written = write_comment(text)
    assert written.startswith("#")
    assert parse_node(f"{written}\na: 1\n".encode(), "x.yaml")
