"""What the documentation shows is what the program takes."""

from __future__ import annotations

import builtins
import os
import re
from pathlib import Path

import pytest

import sandboxer
from sandboxer.abi import bpf
from sandboxer.controls.seccomp.reference import decide
from sandboxer.controls.seccomp.rules import Situation
from tests.controls.seccomp.filters import meaning, programs
from tests.live.needs import needs

DOCS = Path(__file__).resolve().parents[1] / "docs"


def yaml_blocks(name: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", (DOCS / name).read_text(), re.DOTALL)


def test_rules_of_the_documentation_mean_what_it_says() -> None:
    block = yaml_blocks("system-calls.md")[0]
    section = re.sub(r"^  ", "", block.removeprefix("seccomp:\n"), flags=re.MULTILINE)
    settings = meaning(section).at(Situation())
    assert programs(meaning(section))

    def answer(number: int, *arguments: int) -> int:
        return decide(settings, "x86_64", number, (*arguments, *(0,) * (6 - len(arguments))))

    assert answer(9, 0, 4096, 7) == bpf.RET_ERRNO | 1  # mmap, writable and executable
    assert answer(9, 0, 4096, 5) == bpf.RET_ALLOW
    assert answer(41, 40) == bpf.RET_ERRNO | 97  # AF_VSOCK
    assert answer(41, 1) == bpf.RET_ALLOW
    assert answer(101) == bpf.RET_KILL_PROCESS  # ptrace
    assert answer(425) == bpf.RET_LOG  # io_uring_setup
    assert answer(321) == bpf.RET_ERRNO | 1  # bpf, without the capability
    assert decide(meaning(section).at(Situation(capabilities=1 << 39)), "x86_64", 321, (0,) * 6) == bpf.RET_ALLOW
    assert answer(41, 1 | 5 << 32) == bpf.RET_ERRNO | 1  # strict: no compiler makes this upper half
    assert answer(41, 1 | 0xFFFFFFFF << 32) == bpf.RET_ERRNO | 1
    assert answer(435) == bpf.RET_ERRNO | 38


def python_blocks(name: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / name).read_text(), re.DOTALL)


@needs("userns")
def test_examples_for_python_do_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, as a reader would type them."""
    (tmp_path / "home").mkdir(0o700)
    (tmp_path / "project").mkdir()
    monkeypatch.setitem(os.environ, "HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "project")
    space: dict[str, object] = {}
    for block in python_blocks("python.md"):
        exec(block, space)
    assert [path.name for path in (tmp_path / "project").iterdir()] == ["project"]  # that of the last but one
    assert os.listdir(tmp_path / "home/.cache/sandboxer/boxes") == ["lock"]


def test_errors_of_the_documentation_are_there_and_are_also_what_it_says() -> None:
    table = (DOCS / "python.md").read_text().partition("## What can go wrong")[2].partition("All of them")[0]
    rows = re.findall(r"^\| `(\w+)` \| (?:`(\w+)`)? ?\|", table, re.M)
    assert len(rows) == 11
    for name, also in rows:
        kind = getattr(sandboxer, name)
        assert issubclass(kind, sandboxer.SandboxerError)
        assert not also or issubclass(kind, getattr(builtins, also))
