"""What a compiled plan says about itself, beside its bytes: the report, its sources, and every step in words with its place.

It is kept as JSON text with the plan in the cache, so that a warm start that fails can still point at the line of the profile.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sandboxer.compile.words import Teller
from sandboxer.model.op import ArmWallClock, SetRlimit, ShowSpace
from sandboxer.model.place import Place
from sandboxer.model.plan import Plan, Step
from sandboxer.model.policy import Override, Policy, Source
from sandboxer.model.report import Line, Report, Status

LISTS = ("before", "inside", "after")
RLIMIT_CPU = 0  # include/uapi/asm-generic/resource.h
RLIMIT_FSIZE = 1
UNLIMITED = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class ToldStep:
    """One step for people: the op's name, its words, the control and the place it comes from."""

    op: str
    words: str
    control: str
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class ToldOption:
    """A command-line option that went into the plan. allowance: the place that lets it widen; None: it does not."""

    text: str
    allowance: Place | None = None


@dataclass(frozen=True, slots=True)
class About:
    """Everything about a compiled plan but its bytes.

    cpu_soft_s, cpu_hard_s, file_bytes and wall_ms are the limits that can end a command; None where there is none. spaces: where
    the box's own file systems of a limited size are.
    """

    profile: str
    digest: str
    sources: tuple[Source, ...]
    options: tuple[ToldOption, ...]
    overrides: tuple[Override, ...]
    report: Report
    before: tuple[ToldStep, ...]
    inside: tuple[ToldStep, ...]
    after: tuple[ToldStep, ...]
    cpu_soft_s: int | None = None
    cpu_hard_s: int | None = None
    file_bytes: int | None = None
    wall_ms: int | None = None
    spaces: tuple[str, ...] = ()

    def step(self, list_number: int, index: int) -> ToldStep | None:
        """The step that the record names: list 1 to 3, index from 0."""
        if not 1 <= list_number <= len(LISTS):
            return None
        steps: tuple[ToldStep, ...] = getattr(self, LISTS[list_number - 1])
        return steps[index] if index < len(steps) else None


def tell_about(plan: Plan, policy: Policy, digest: str, options: tuple[ToldOption, ...] = ()) -> About:
    """What there is to say about a plan that was just lowered."""
    cpu, size, wall = _find_limits((*plan.before, *plan.inside))
    teller = Teller()
    return About(
        profile=plan.profile,
        digest=digest,
        sources=policy.sources,
        options=options,
        overrides=policy.overrides,
        report=plan.report,
        before=tuple(tell_step(step, teller) for step in plan.before),
        inside=tuple(tell_step(step, teller) for step in plan.inside),
        after=tuple(tell_step(step, teller) for step in plan.after),
        cpu_soft_s=cpu[0] if cpu else None,
        cpu_hard_s=cpu[1] if cpu else None,
        file_bytes=size,
        wall_ms=wall,
        spaces=tuple(step.op.path for step in plan.inside if isinstance(step.op, ShowSpace)),
    )


def tell_step(step: Step, teller: Teller) -> ToldStep:
    """A step for people."""
    return ToldStep(type(step.op).__name__, teller.say(step.op), step.control, step.place)


def _find_limits(steps: Iterable[Step]) -> tuple[tuple[int, int] | None, int | None, int | None]:
    cpu: tuple[int, int] | None = None
    size: int | None = None
    wall: int | None = None
    for step in steps:
        match step.op:
            case SetRlimit(resource=resource, soft=soft, hard=hard) if resource == RLIMIT_CPU and soft != UNLIMITED:
                cpu = (soft, hard)
            case SetRlimit(resource=resource, soft=soft) if resource == RLIMIT_FSIZE and soft != UNLIMITED:
                size = soft
            case ArmWallClock(limit_ms=limit_ms):
                wall = limit_ms
    return cpu, size, wall


# ── as JSON text, and back ────────────────────────────────────────────────────────────────────────────────────────────


def write_about(about: About) -> bytes:
    """The text that the cache keeps."""
    data = {
        "profile": about.profile,
        "digest": about.digest,
        "sources": [[source.name, source.path, source.kind] for source in about.sources],
        "options": [[item.text, _pack_place(item.allowance)] for item in about.options],
        "overrides": [[item.path, item.reason, _pack_place(item.place), item.expires] for item in about.overrides],
        "report": [
            [line.control, line.status.value, line.what, line.lost, line.why, line.attempt, _pack_place(line.place)]
            for line in about.report.lines
        ],
        "limits": [about.cpu_soft_s, about.cpu_hard_s, about.file_bytes, about.wall_ms],
        "spaces": list(about.spaces),
        **{name: [_pack_step(step) for step in getattr(about, name)] for name in LISTS},
    }
    return json.dumps(data, ensure_ascii=True, separators=(",", ":")).encode()


@functools.lru_cache(maxsize=16)
def read_about(text: bytes) -> About:
    """What `write_about` wrote; the cache's checksum vouches for it."""
    data = json.loads(text)
    cpu_soft_s, cpu_hard_s, file_bytes, wall_ms = data["limits"]
    return About(
        profile=data["profile"],
        digest=data["digest"],
        sources=tuple(Source(*item) for item in data["sources"]),
        options=tuple(ToldOption(text, _unpack_place(place)) for text, place in data["options"]),
        overrides=tuple(
            Override(path, reason, _unpack_place(place) or Place(""), expires)
            for path, reason, place, expires in data["overrides"]
        ),
        report=Report(tuple(map(_unpack_line, data["report"]))),
        before=tuple(map(_unpack_step, data["before"])),
        inside=tuple(map(_unpack_step, data["inside"])),
        after=tuple(map(_unpack_step, data["after"])),
        cpu_soft_s=cpu_soft_s,
        cpu_hard_s=cpu_hard_s,
        file_bytes=file_bytes,
        wall_ms=wall_ms,
        spaces=tuple(data["spaces"]),
    )


def _pack_place(place: Place | None) -> list[object] | None:
    return None if place is None else [place.file, place.line, place.column, place.text]


def _unpack_place(data: list[Any] | None) -> Place | None:
    return None if data is None else Place(*data)


def _unpack_line(data: list[Any]) -> Line:
    control, status, what, lost, why, attempt, place = data
    return Line(control, Status(status), what, lost, why, attempt, _unpack_place(place))


def _pack_step(step: ToldStep) -> list[object]:
    return [step.op, step.words, step.control, _pack_place(step.place)]


def _unpack_step(data: list[Any]) -> ToldStep:
    op, words, control, place = data
    return ToldStep(op, words, control, _unpack_place(place))
