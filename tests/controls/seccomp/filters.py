"""What tests of filters share: settings out of YAML, the shipped groups, and a child process that lives under real filters."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import struct
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sandboxer.abi import bpf
from sandboxer.controls import seccomp
from sandboxer.controls.room import Scope
from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.controls.seccomp.rules import Situation
from sandboxer.controls.seccomp.stack import compile_stack
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.node import Mapping as MappingNode
from sandboxer.model.node import Scalar, Sequence, parse_node
from sandboxer.model.place import Place
from sandboxer.model.policy import Layer
from sandboxer.model.section import Said, Section

POLICIES = Path(__file__).resolve().parents[3] / "policies"
MINIMAL = "allow: [execve, exit_group, exit, write, read, seccomp]"
ROWS = {row.name: row for row in seccomp.FIELDS}


def parsed(node: MappingNode) -> Section:
    """A section through the parsers of its rows, with all of its problems at once."""
    said: dict[str, tuple[Said, ...]] = {}
    problems: list[Problem] = []
    for key, value in node.entries:
        try:
            said[key.text] = ROWS[key.text].parse(value)
        except ProfileError as error:
            problems += error.problems
    if problems:
        raise ProfileError(problems)
    return Section(said)


def section(text: str, file: str = "test.yaml") -> Section:
    """The seccomp section that this YAML says."""
    node = parse_node(textwrap.dedent(text).encode(), file)
    assert isinstance(node, MappingNode)
    return parsed(node)


class Groups(Mapping[str, Section]):
    """Groups by name: those given as YAML, then the files of policies/syscalls with what they include."""

    def __init__(self, **given: str) -> None:
        self.given = {name.replace("_", "-"): section(text, f"{name}.yaml") for name, text in given.items()}

    def __getitem__(self, name: str) -> Section:
        if name in self.given:
            return self.given[name]
        path = POLICIES / "syscalls" / f"{name}.yaml"
        if not path.exists():
            raise KeyError(name)
        node = parse_node(path.read_bytes(), str(path))
        assert isinstance(node, MappingNode)
        own = node.get("seccomp")
        said = dict(parsed(own).said) if isinstance(own, MappingNode) else {}
        included = node.get("policies")
        for item in included.items if isinstance(included, Sequence) else ():
            assert isinstance(item, Scalar)
            for field, items in self[item.text.removeprefix("syscalls/")].said.items():
                said[field] = (*said.get(field, ()), *items)
        return Section(said)

    def __iter__(self) -> Iterator[str]:
        yield from self.given
        yield from (path.stem for path in sorted((POLICIES / "syscalls").glob("*.yaml")))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def layers(*texts: str) -> tuple[Layer, ...]:
    """`restrict:` layers, each of a seccomp section."""
    return tuple(
        Layer(f"layer {number}", Place(f"layer{number}.yaml", 1, 1), {"seccomp": section(text, f"layer{number}.yaml")})
        for number, text in enumerate(texts, 1)
    )


def meaning(text: str, *layer_texts: str, **groups: str) -> Settings:
    """The settings of a section under layers."""
    return seccomp.understand(section(text), Scope(cwd="/", home="/", groups=Groups(**groups), layers=layers(*layer_texts)))


def programs(settings: Settings, arch: str = "x86_64") -> tuple[bytes, ...]:
    """The filters in the order of loading."""
    return tuple(item.program for item in compile_stack(settings.at(Situation(arch)), arch))


_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def call(number: int, *arguments: int) -> int:
    """A system call with whole 64-bit arguments: its result, or the error number as a negative one."""
    ctypes.set_errno(0)
    result = int(_LIBC.syscall(ctypes.c_long(number), *(ctypes.c_ulong(value & (1 << 64) - 1) for value in arguments)))
    return -ctypes.get_errno() if result == -1 else result


def load(stack: tuple[bytes, ...]) -> None:
    """Load filters into this process as the launcher does: in order, each with seccomp(2)."""
    if _LIBC.prctl(38, 1, 0, 0, 0) != 0:  # PR_SET_NO_NEW_PRIVS
        raise OSError(ctypes.get_errno(), "no_new_privs")
    for number, program in enumerate(stack):
        described = _Program(len(program) // bpf.INSTRUCTION_BYTES, program)
        result = call(317, 1, bpf.FILTER_FLAG_SPEC_ALLOW, ctypes.addressof(described))
        if result != 0:
            raise OSError(-result, f"filter {number} of {len(stack)} was not loaded")


def under(stack: tuple[bytes, ...], body: Callable[[], Any]) -> Any:
    """What `body` returns in a child process under these filters; a Signals where a signal ended the child."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            try:
                load(stack)
                answer: Any = body()
            except BaseException as error:
                answer = repr(error)
            # The writing end is one write of a small message: nothing but write and exit_group is needed from here on.
            data = pickle.dumps(answer)
            os.write(writer, struct.pack("<I", len(data)) + data)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as results:
        data = results.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status))
    return pickle.loads(data[4:])
