"""Control groups for tests of the launcher: the ops that make them, boxes in them, and whether one is left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandboxer.controls.devices.program import Rule, assemble
from sandboxer.model import op as ops
from sandboxer.model.op import U32, U64, Blob, Op, Text, TextList
from tests.launcher.plans import NEWPID, Ended, launch, plan, shell
from tests.live.needs import this_host


def tree() -> Path:
    """Where the v2 tree is."""
    return Path(next(one.mount for one in this_host().hierarchies if one.is_v2))


def make(
    mount: object = None, number: int = 0, controller: str = "", levels: int = 0, inherited: tuple[str, ...] = ()
) -> ops.MakeGroup:
    """The op; in the v2 tree where nothing is said."""
    path = str(tree() if mount is None else mount)
    return ops.MakeGroup(U32(number), Text(path), Text(controller), U32(levels), TextList(()), TextList(inherited))


def own() -> Path:
    """Our own group there."""
    line = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
    return tree() / line[4:]


def groups() -> list[str]:
    """The groups of boxes that are there."""
    ours = own() / "sandboxer"
    return sorted(path.name for path in ours.iterdir() if path.is_dir()) if ours.exists() else []


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """No group stays."""
    before = groups()
    yield
    assert [name for name in groups() if name not in before and not is_anothers(name)] == []


def is_anothers(name: str) -> bool:
    """Whether a group belongs to a launcher that lives: tests run side by side."""
    return os.path.exists(f"/proc/{name.partition('-')[0]}")


def allow(*rules: Rule) -> list[Op]:
    """A group with the program of these rules."""
    return [make(), ops.AllowDevices(Blob(assemble(rules)))]


def boxed(before: list[Op], script: str, *, after: list[Op] | None = None) -> Ended:
    """A box that has the whole host: nothing but the program stands in its way."""
    end = [ops.RemoveGroups()] if after is None else after
    return launch(plan([*before, ops.Start(U64(NEWPID))], [ops.BecomeInit()], shell(script), after=end))


def v1(controller: str) -> tuple[ops.MakeGroup, int]:
    """A group in the v1 hierarchy of a controller, and its number."""
    found = this_host().hierarchy_of(controller)
    assert found is not None
    return make(found.mount, found.group, controller), found.group


def limited(controller: str, limits: dict[str, str], script: str, counters: list[tuple[str, str]] | None = None) -> Ended:
    """A box in a v1 group with these files written."""
    op, number = v1(controller)
    written = [ops.WriteGroup(U32(number), Text(file), Text(text)) for file, text in limits.items()]
    read = [ops.ReadCounter(U32(i), U32(number), Text(file), Text(key), U32(1)) for i, (file, key) in enumerate(counters or [])]
    return launch(
        plan(
            [op, *written, ops.Start(U64(NEWPID))],
            [ops.EnterGroups(), ops.BecomeInit()],
            shell(script),
            after=[*read, ops.RemoveGroups()],
        )
    )
