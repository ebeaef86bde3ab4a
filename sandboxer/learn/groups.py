"""The policies of system calls, looked through for the one that allows a refused call and the least besides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.controls.seccomp.rules import Group, Rule, matches
from sandboxer.errors import ProfileError
from sandboxer.model.section import Section

NEW_CALLS_MAX = 40
"""A group that brings more new calls than this is no answer to one call that was refused."""


class Groups:
    """What each group would add to a policy. Only groups that deny nothing: what they deny would be taken from the profile.

    What a group allows with some capability alone is not counted: jobs seldom hold one, and whoever lacks it is not helped.
    """

    __slots__ = ("_added",)

    def __init__(self, groups: Mapping[str, Section], settings: Settings) -> None:
        self._added: dict[str, tuple[Rule, ...]] = {}
        for name in groups:
            try:
                section = groups[name]
                if not section.said.get("deny"):
                    rules = _rules(section, groups, frozenset({name}))
                    self._added[name] = tuple(
                        rule for rule in rules if not rule.when.held and not settings.passes_whole(rule.call)
                    )
            except ProfileError:
                continue  # a file that is wrong explains nothing, and whoever uses it is told

    def find(self, call: str, arch: str, arguments: Sequence[int]) -> tuple[str, tuple[str, ...]]:
        """The group that allows this use of a call and the fewest new calls besides; its name, and those calls. Empty: none."""
        best: tuple[str, tuple[str, ...]] = ("", ())
        for name, rules in self._added.items():
            if not any(rule.call == call and matches(rule, arch, arguments) for rule in rules):
                continue
            others = tuple(sorted({rule.call for rule in rules} - {call}))
            if len(others) <= NEW_CALLS_MAX and (not best[0] or (len(others), name) < (len(best[1]), best[0])):
                best = (name, others)
        return best


def _rules(section: Section, groups: Mapping[str, Section], above: frozenset[str]) -> Iterator[Rule]:
    for item in section.said.get("allow", ()):
        if isinstance(item.value, Rule):
            yield item.value
        elif isinstance(item.value, Group) and item.value.name in groups and item.value.name not in above:
            inner = _rules(groups[item.value.name], groups, above | {item.value.name})
            yield from (rule for rule in inner if rule.call not in item.value.but)
