"""Policies, rooms and hosts that lower tests pretend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sandboxer.controls.room import Lack, Lowered, Scene, Scope
from sandboxer.model.host import Host
from sandboxer.model.op import (
    U32,
    U64,
    Blob,
    LoadFilter,
    Op,
    PivotRoot,
    SetCapabilities,
    SetNoNewPrivs,
    Start,
)
from sandboxer.model.place import Place
from sandboxer.model.plan import Plan, Recipe, Step
from sandboxer.model.policy import Enforce, Layer, Override, Policy, Source, Trait
from sandboxer.model.report import Report
from sandboxer.model.section import Field, Said, Section
from sandboxer.model.stage import Stage

PLACE = Place("profiles/test.yaml", 3, 5, "  pid: host")
ROOT = Host(uid=0, gid=0, groups=(0,), user="root", home="/root", capabilities=(1 << 41) - 1)
USER = Host()


def said(**values: object) -> Section:
    """A section in which each of these was said at PLACE."""
    return Section({name: (Said(value, PLACE),) for name, value in values.items()})  # type: ignore[arg-type]


def make_policy(
    *traits: Trait,
    said: Mapping[str, Section] | None = None,
    settings: Mapping[str, object] | None = None,
    enforce: Mapping[str, Enforce] | None = None,
    overrides: tuple[Override, ...] = (),
    layers: tuple[Layer, ...] = (),
) -> Policy:
    return Policy(
        name="test",
        description="a policy of a test",
        sources=(Source("test", "/p/test.yaml", "profile"),),
        said=said or {},
        settings=settings or {},
        enforce=enforce or {},
        layers=layers,
        overrides=overrides,
        traits=frozenset(traits),
        params={},
        allowances=Section(),
    )


def step(op: Op, stage: Stage, control: str = "test") -> Step:
    return Step(op, stage, control, PLACE)


def least_steps() -> tuple[Step, ...]:
    """What every plan must have."""
    return (
        step(Start(U64(0x20000)), Stage.START),
        step(PivotRoot(), Stage.PIVOT),
        step(SetCapabilities(U64(0), U64(0), U64(0)), Stage.CAPABILITIES),
        step(SetNoNewPrivs(), Stage.CAPABILITIES),
        step(LoadFilter(U32(0), Blob(bytes(8))), Stage.FILTER),
    )


def make_plan(*steps: Step) -> Plan:
    lists = {name: tuple(one for one in steps if one.stage.list_name == name) for name in ("before", "inside", "after")}
    return Plan("test", lists["before"], lists["inside"], lists["after"], Recipe(), Report())


@dataclass(frozen=True)
class PretendRoom:
    """A room that lacks and gives what a test says."""

    NAME: str
    lacks: tuple[Lack, ...] = ()
    gives: Callable[[Scene], Lowered] = field(default=lambda scene: Lowered())
    sentences: tuple[str, ...] = ()
    FIELDS: tuple[Field, ...] = ()
    TITLE: str = "a room of a test"
    STACKED: bool = False

    def understand(self, section: Section, scope: Scope) -> object:
        return section

    def traits(self, settings: object) -> frozenset[Trait]:
        return frozenset()

    def mentions(self, settings: object) -> frozenset[str]:
        return frozenset()

    def need(self, settings: object, host: Host) -> tuple[Lack, ...]:
        return self.lacks

    def lower(self, settings: object, scene: Scene) -> Lowered:
        return self.gives(scene)

    def in_place(self, settings: object, scene: Scene) -> Lowered:
        return self.gives(scene)

    def explain(self, settings: object) -> tuple[str, ...]:
        return self.sentences

    def widens(self, old: object, new: object) -> tuple[str, ...]:
        return ()
