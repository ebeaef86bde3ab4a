"""One patch for all that a run was refused: a reader strikes out what the job can do without, and applies the rest at once."""

from __future__ import annotations

from collections.abc import Iterable

from sandboxer.controls.seccomp.meaning import NAME
from sandboxer.learn.patch import REASON, Patch, is_shipped, where
from sandboxer.model.policy import Policy
from sandboxer.model.result import Risk


def join_patches(policy: Policy, patches: Iterable[tuple[Patch, Risk]]) -> Patch:
    """The patches as one, each line with its risk; a whole profile where the own one cannot be changed. Empty: there are none."""
    removed: dict[str, Risk] = {}
    allowed: dict[str, Risk] = {}
    for patch, risk in patches:
        for found, entries in ((removed, patch.removed), (allowed, patch.allowed)):
            for entry in entries:
                found[entry] = max(found.get(entry, risk), risk, key=list(Risk).index)
    if not removed and not allowed:
        return Patch("", "")
    lines = []
    if removed:
        lines += ["override:", f"  - path: {NAME}.deny", f'    reason: "{REASON}"', "    remove:", *_listed(removed, 6)]
    if allowed:
        lines += [f"{NAME}:", "  allow:", *_listed(allowed, 4)]
    if not is_shipped(policy):
        return Patch("\n".join(lines), where(policy), tuple(removed), tuple(allowed))
    name = f"my-{policy.name}"
    head = ["kind: profile", f"name: {name}", f"description: {policy.name}, and what this job needs", f"extends: [{policy.name}]"]
    attempt = f"write it to .sandboxer/profiles/{name}.yaml, and run with `-p {name}`"
    return Patch("\n".join(head + lines), attempt, tuple(removed), tuple(allowed))


def _listed(entries: dict[str, Risk], indent: int) -> list[str]:
    return [f"{' ' * indent}- {entry}  # risk: {risk.value}" for entry, risk in entries.items()]
