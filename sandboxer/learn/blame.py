"""Which rule of a policy refused a call, and where it was said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sandboxer.controls.seccomp.meaning import Settings, Statement, Wall
from sandboxer.controls.seccomp.rules import NO_ANSWER, Rule, matches, rank, reduced
from sandboxer.controls.seccomp.words import show_rule
from sandboxer.model.place import Place

RULES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Blame:
    """What one wall has against a call: denies that are about it, the one that decides first; or none, and no grant that is.

    grants: the uses of the call that the wall does allow.
    """

    wall: Wall
    is_layer: bool
    denies: tuple[Statement, ...]
    grants: tuple[Rule, ...]
    is_granted: bool

    @property
    def place(self) -> Place:
        """The rule that said no, or where something could have said yes."""
        return self.denies[0].place if self.denies else self.wall.place

    @property
    def words(self) -> str:
        """The reason, in a sentence."""
        if self.denies:
            deny = self.denies[0]
            through = f" with @{deny.group}" if deny.group else ""
            return f"{self.wall.name} denies {show_rule(deny.rule)}{through}"
        if not self.grants:
            return f"nothing in {self.wall.name} allows it"
        shown = [show_rule(rule) for rule in self.grants[:RULES_SHOWN]]
        more = len(self.grants) - len(shown)
        return f"{self.wall.name} allows only {', or '.join(shown)}" + (f", or {more} more" if more else "")


def find_blame(settings: Settings, call: str, arch: str, arguments: Sequence[int]) -> tuple[Blame, ...]:
    """What each wall that refuses the call has against it; empty where all of them let it pass."""
    found = []
    for position, wall in enumerate(settings.walls):
        about = (item for item in wall.denies if item.rule.call == call and matches(item.rule, arch, arguments))
        denies = tuple(sorted(about, key=_order))
        is_granted = any(matches(rule, arch, arguments) for rule in wall.grants_of(call))
        if denies or not is_granted:
            grants = () if is_granted else reduced(wall.grants_of(call))
            found.append(Blame(wall, position > 0, denies, grants, is_granted))
    return tuple(found)


def _order(item: Statement) -> tuple[bool, int]:
    """The strictest answer decides; a deny without one answers an error number. Those that say one come first."""
    return item.rule.answer == NO_ANSWER, 0 if item.rule.answer == NO_ANSWER else rank(item.rule.answer)
