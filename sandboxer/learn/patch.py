"""What to write into a profile so that a refused call is allowed: the narrowest rule, and what has to go for it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from sandboxer.compile.search import shipped_directory
from sandboxer.controls.seccomp.meaning import NAME, Statement
from sandboxer.controls.seccomp.rules import Rule
from sandboxer.learn.blame import Blame
from sandboxer.learn.spell import find_spelling, narrowest_rule, spell_rule
from sandboxer.model.place import Place
from sandboxer.model.policy import Policy

REASON = "say why this job needs it"


@dataclass(frozen=True, slots=True)
class Patch:
    """YAML for a profile, empty where no profile can allow the call; and what to do, in sentences.

    removed, allowed: what the YAML takes from the denies of parents, and the calls that it grants, each as an entry of a list.
    granted: what it says in other sections.
    """

    yaml: str
    attempt: str
    removed: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    granted: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One value of a field, as it is written in YAML. is_one: the field has no list."""

    section: str
    field: str
    value: str
    is_one: bool = False


def write_grants(grants: Iterable[tuple[Grant, str]]) -> list[str]:
    """The lines of some sections, one entry a line, each with what is to stand behind it."""
    lines: list[str] = []
    section = field = ""
    for grant, behind in sorted(grants):
        if grant.section != section:
            section, field = grant.section, ""
            lines.append(f"{section}:")
        if grant.is_one:
            lines.append(f"  {grant.field}: {grant.value}{behind}")
            continue
        if grant.field != field:
            lines.append(f"  {grant.field}:")
        lines.append(f"    - {grant.value}{behind}")
        field = grant.field
    return lines


def _cannot_remove(deny: Statement) -> str:
    """What stands in no list of the profile itself: it came with a group that is granted, or from `strict`."""
    if any(condition.mask >> 32 for case in deny.rule.cases for condition in case):
        return "`strict: true` refuses it: an argument has an upper half that no compiler makes, so look at who makes the call"
    what = f"the deny at {deny.place.show()} came with a group that is granted as @name"
    return f"{what}: grant what you need of that group call by call, in place of it"


def own_file(policy: Policy) -> str:
    """The path of the file that the run was asked for."""
    return next((item.path for item in policy.sources if item.kind == "profile" and item.name == policy.name), "")


def _is_in(place: Place, path: str) -> bool:
    return bool(path) and _is_same_file(os.path.abspath(place.file), path)


@lru_cache(256)
def _is_same_file(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def home_of(policy: Policy, section: str = NAME) -> Place:
    """Where the profile has a section itself; the profile as a whole where it has not."""
    path = own_file(policy)
    said = policy.said[section].said if section in policy.said else {}
    places = sorted(item.place for items in said.values() for item in items if _is_in(item.place, path))
    return places[0] if places else Place(os.path.relpath(path) if path.startswith(os.getcwd() + "/") else path or policy.name)


@dataclass(slots=True)
class _Making:
    """A patch in the making."""

    policy: Policy
    removed: dict[str, None] = field(default_factory=dict)
    allowed: list[str] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    is_possible: bool = True

    def blame(self, blame: Blame, rule: Rule) -> None:
        """Take one wall's objections away."""
        if blame.is_layer:
            self.is_possible = False
            what = f"the layer {blame.wall.name} ({blame.place.show()}) takes it away; a layer is not widened by a profile"
            self.sentences.append(f"{what}: change that layer, or leave it out")
            return
        for deny in blame.denies:
            self.remove(deny)
        if not blame.is_granted:
            self.allowed.append(spell_rule(rule))

    def remove(self, deny: Statement) -> None:
        """Take one deny away, in the way that its place asks for."""
        said = next((item for item in self.policy.said[NAME].said.get("deny", ()) if item.place == deny.place), None)
        where = deny.place.show()
        if said is None:
            self.is_possible = False
            self.sentences.append(_cannot_remove(deny))
        elif _is_in(deny.place, own_file(self.policy)):
            self.sentences.append(f"take the deny at {where} out")
        elif spelling := find_spelling(said):
            self.removed[spelling] = None
        else:
            self.is_possible = False
            self.sentences.append(f"remove the deny at {where} by an `override` of {NAME}.deny, in the words that stand there")

    def patch(self) -> Patch:
        """The whole."""
        if not self.is_possible:
            return Patch("", "; ".join(self.sentences))
        lines = []
        if self.removed:
            lines += ["override:", f'  - {{path: {NAME}.deny, remove: [{", ".join(self.removed)}], reason: "{REASON}"}}']
        if self.allowed:
            lines += [f"{NAME}:", "  allow:", *(f"    - {rule}" for rule in self.allowed)]
        if lines:
            self.sentences.append(where(self.policy))
        return Patch("\n".join(lines), "; ".join(self.sentences), tuple(self.removed), tuple(self.allowed))


def is_shipped(policy: Policy) -> bool:
    """Whether the profile came with sandboxer, so that its file is not the caller's to change."""
    return own_file(policy).startswith(f"{shipped_directory()}/profiles/")


def where(policy: Policy, section: str = NAME) -> str:
    """Which file to write a patch into: an override speaks against parents only. section: which one it has."""
    if is_shipped(policy):
        return f"add to a profile of your own that says `extends: [{policy.name}]`"
    home = home_of(policy, section)
    # A section stands once in a file. Its first entry is what is known of where it is.
    return f"add to {home.file}" + (f", where `{section}` stands already near line {home.line}" if home.line else "")


def make_patch(policy: Policy, blames: Iterable[Blame], call: str, arch: str, arguments: Sequence[int]) -> Patch:
    """What would let this use of a call pass every wall that refused it."""
    making = _Making(policy)
    rule = narrowest_rule(call, arch, arguments)
    for blame in blames:
        making.blame(blame, rule)
    return making.patch()
