"""Rules in words use the names of the constants."""

from __future__ import annotations

import pytest

from sandboxer.controls.seccomp.rules import Rule
from sandboxer.controls.seccomp.words import show_rule
from tests.controls.seccomp.filters import section


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("read", "read"),
        ("{socket: {family: {in: [1, 2]}, type: 1}}", "socket(family AF_UNIX or AF_INET, type SOCK_STREAM)"),
        ("{clone: {clone_flags: {none_of: [CLONE_NEWNS, CLONE_NEWPID]}}}", "clone(clone_flags without CLONE_NEWNS|CLONE_NEWPID)"),
        ("{mknod: {mode: {masked: [S_IFMT, 0]}}}", "mknod(mode & S_IFMT == 0)"),
        ("{mknod: {mode: {masked: [S_IFMT, S_IFREG]}}}", "mknod(mode & S_IFMT == S_IFREG)"),
        ('{mmap: {prot: "PROT_WRITE|PROT_EXEC"}}', "mmap(prot PROT_WRITE|PROT_EXEC)"),
        ("{kill: {sig: {in: [0, 200]}}}", "kill(sig 0 or 0xc8)"),
        ("{clone: {clone_flags: {none_of: ['0x10000003']}}}", "clone(clone_flags without CLONE_NEWUSER|0x3)"),
    ],
)
def test_rule_is_shown_by_names(text: str, words: str) -> None:
    rule = section(f"allow: [{text}]").values("allow")[0]
    assert isinstance(rule, Rule)
    assert show_rule(rule) == words


def test_values_say_themselves() -> None:
    said = section('allow: ["@network", {socket: {family: AF_UNIX}}]\nerrno: {ENOSYS: [clone3]}')
    assert [str(value) for value in said.values("allow")] == ["@network", "socket(family AF_UNIX)"]
    assert [str(value) for value in said.values("errno")] == ["ENOSYS: clone3"]
