"""One patch for all that a run was refused: a reader strikes out what the job can do without, and applies the rest at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from sandboxer.controls.network import MODES
from sandboxer.controls.seccomp.meaning import NAME
from sandboxer.learn.patch import REASON, Grant, Patch, is_shipped, where, write_grants
from sandboxer.model.policy import Policy
from sandboxer.model.result import Risk

Entry = TypeVar("Entry")


def join_patches(policy: Policy, patches: Iterable[tuple[Patch, Risk]]) -> Patch:
    """The patches as one, each line with its risk; a whole profile where the own one cannot be changed. Empty: there are none."""
    removed: dict[str, Risk] = {}
    allowed: dict[str, Risk] = {}
    granted: dict[Grant, Risk] = {}
    for patch, risk in patches:
        _note(removed, patch.removed, risk)
        _note(allowed, patch.allowed, risk)
        _note(granted, patch.granted, risk)
    if not removed and not allowed and not granted:
        return Patch("", "")
    lines = []
    if removed:
        lines += ["override:", f"  - path: {NAME}.deny", f'    reason: "{REASON}"', "    remove:", *_listed(removed, 6)]
    if allowed:
        lines += [f"{NAME}:", "  allow:", *_listed(allowed, 4)]
    grants = dict(_widest(granted))
    lines += write_grants((grant, f"  # risk: {risk.value}") for grant, risk in grants.items())
    parts = tuple(removed), tuple(allowed), tuple(grants)
    if not is_shipped(policy):
        return Patch("\n".join(lines), where(policy), *parts)
    name = f"my-{policy.name}"
    head = ["kind: profile", f"name: {name}", f"description: {policy.name}, and what this job needs", f"extends: [{policy.name}]"]
    attempt = f"write it to .sandboxer/profiles/{name}.yaml, and run with `-p {name}`"
    return Patch("\n".join(head + lines), attempt, *parts)


def _note(found: dict[Entry, Risk], entries: Iterable[Entry], risk: Risk) -> None:
    for entry in entries:
        found[entry] = max(found.get(entry, risk), risk, key=list(Risk).index)


def _widest(granted: Mapping[Grant, Risk]) -> Iterator[tuple[Grant, Risk]]:
    """Of a field that has one value, the widest: there is one such field, the network's mode."""
    modes = [grant for grant in granted if grant.is_one]
    widest = max(modes, key=lambda grant: MODES.index(grant.value), default=None)
    yield from ((grant, risk) for grant, risk in granted.items() if not grant.is_one or grant == widest)


def _listed(entries: dict[str, Risk], indent: int) -> list[str]:
    return [f"{' ' * indent}- {entry}  # risk: {risk.value}" for entry, risk in entries.items()]
