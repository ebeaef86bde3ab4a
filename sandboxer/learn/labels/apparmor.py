"""What the AppArmor profile of a box refused in a run, met with the policy: which rule was nearest, and what would allow it.

A profile that was made from the policy is known here, rule by rule. Of one by name nothing else is known: there it is for its
author to grant what the sections grant.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from sandboxer.abi.capabilities import CAPABILITIES
from sandboxer.compile.lower import find_scene
from sandboxer.controls import ROOMS
from sandboxer.controls.lsm import apparmor
from sandboxer.controls.lsm.apparmor.files import FileRule
from sandboxer.controls.lsm.apparmor.quote import quoted
from sandboxer.controls.lsm.apparmor.text import label_rules
from sandboxer.controls.lsm.sockets import has_network
from sandboxer.controls.paths import covers
from sandboxer.controls.room import Scene
from sandboxer.kernel.audit.avc import DENIED, LEARNING, ProfileRefusal
from sandboxer.learn.answer import (
    CAPABILITY,
    LOOPBACK,
    OF_FILESYSTEM,
    SEE_ABOVE,
    SHOWN_BYTES,
    UNJUDGED,
    Answer,
    is_plain,
    patch_of,
)
from sandboxer.learn.patch import Grant, Patch, home_of
from sandboxer.learn.quote import printable, quote
from sandboxer.learn.risk import Judgement
from sandboxer.model.host import Host
from sandboxer.model.op import SetExecLabel
from sandboxer.model.place import Place
from sandboxer.model.plan import Plan
from sandboxer.model.policy import Policy
from sandboxer.model.result import LabelDenial, Risk
from sandboxer.run.hearing.refused import Refused, RefusedLedger

FILESYSTEM, NETWORK, KEPT = "filesystem", "network", "capabilities"
_RULE_OF = {"r": "r", "k": "k", "l": "l", "m": "m", "x": "x", **dict.fromkeys("wacd", "w")}
"""The letter of a record -> the one of a rule: to append, make and delete are all writing there."""
_FIELD_OF = {"r": "read", "k": "read", "l": "write", "m": "execute", "x": "execute", "w": "write"}
_MOUNTING = ("mount", "remount", "umount", "pivotroot", "pivot_root")
_FAMILIES = ("inet", "inet6", "netlink")


@dataclass(frozen=True, slots=True)
class Label:
    """What the explanation reads: the policy, the name of the profile that was given, and the rules that the policy makes.

    is_made: the profile is of these rules.
    """

    policy: Policy
    scene: Scene
    name: str
    is_made: bool
    place: Place
    files: tuple[FileRule, ...]

    def granted(self, path: str) -> set[str]:
        """The letters that the rules grant at a path; those that are denied there are not."""
        rules = [rule for rule in self.files if _is_about(rule, path)]
        return _letters(rules, is_denied=False) - _letters(rules, is_denied=True)

    def denying(self, path: str, letters: set[str]) -> FileRule | None:
        """The deepest rule that takes one of these back."""
        found = [rule for rule in self.files if rule.is_denied and _is_about(rule, path) and letters & set(rule.letters)]
        return max(found, key=lambda rule: len(rule.path), default=None)

    def above(self, path: str) -> FileRule | None:
        """The deepest rule that grants something there."""
        found = [rule for rule in self.files if not rule.is_denied and _is_about(rule, path)]
        return max(found, key=lambda rule: len(rule.path), default=None)


def find_label_name(plan: Plan) -> str:
    """The AppArmor profile that a plan gives to its command; empty: none."""
    requests = [step.op.request for step in plan.inside if isinstance(step.op, SetExecLabel)]
    return requests[0].partition(" ")[2] if requests else ""


def find_label(policy: Policy, host: Host, plan: Plan) -> Label:
    """What is known of the profile of a plan."""
    said = apparmor.settings(policy)
    scene = find_scene(policy, host, ROOMS)
    place = said.places.get("profile") or home_of(policy, apparmor.NAME)
    return Label(policy, scene, find_label_name(plan), said.profile == apparmor.GENERATE, place, label_rules(scene))


def explain_apparmor(ledger: RefusedLedger[ProfileRefusal], label: Label) -> list[tuple[LabelDenial, Patch]]:
    """Every row of a run, explained.

    A program that was let pass though it may not be executed has no rules at all: what ours grant of what it did is left out.
    """
    rows = (row for row in ledger.rows if LEARNING not in row.access.profile or not _is_granted(row.access, label))
    return [_explain(row, label) for row in rows]


def _explain(row: Refused[ProfileRefusal], label: Label) -> tuple[LabelDenial, Patch]:
    access = row.access
    answer = _answer(access, label)
    patch = Patch("", SEE_ABOVE) if row.is_rest else patch_of(answer, label.policy)
    if answer.grants and answer.attempt and not row.is_rest:
        patch = Patch(patch.yaml, f"{patch.attempt}; {answer.attempt}", granted=patch.granted)
    path = access.path or b""
    denial = LabelDenial(
        operation=access.operation,
        wanted=access.denied,
        is_refused=access.verdict == DENIED,
        thing=_thing(access),
        path=path.decode() if is_plain(path) else "",
        count=row.count,
        is_rest=row.is_rest,
        pid=row.pid,
        process=printable(row.name.decode("utf-8", "backslashreplace")),
        rule=answer.rule + (f" ({access.info})" if access.info else ""),
        section=answer.section,
        place=answer.place,
        patch=patch.yaml,
        attempt=patch.attempt,
        risk=answer.judgement.risk,
        risk_why=answer.judgement.why,
    )
    return denial, patch


def _answer(access: ProfileRefusal, label: Label) -> Answer:
    if access.operation == "capable" and access.capability in CAPABILITIES:
        return _of_capability(access.capability, label)
    if access.operation in _MOUNTING:
        return _of_capability("sys_admin", label, "mount,")
    if access.family:
        return _of_network(access, label)
    if access.path and access.path.startswith(b"/") and access.denied and set(access.denied) <= set(_RULE_OF):
        return _of_files(access, label)
    attempt = (
        "nothing: it signals and traces only what is under the same label" if access.operation in ("signal", "ptrace") else ""
    )
    return Answer(apparmor.NAME, f"the profile {label.name} has no rule that allows it", label.place, (), UNJUDGED, attempt)


def _of_files(access: ProfileRefusal, label: Label) -> Answer:
    path, letters = _path(access), {_RULE_OF[letter] for letter in access.denied}
    text = path.decode("utf-8", "surrogateescape")
    fields = sorted({_FIELD_OF[letter] for letter in letters})
    judgement = max((OF_FILESYSTEM[name] for name in fields), key=lambda found: list(Risk).index(found.risk))
    missing = letters - label.granted(text)
    if not missing:
        return _of_own_name(access, label, judgement)
    denying = label.denying(text, missing)
    if denying:
        denied = _said(denying.letters)
        rule = f"what lies at {denying.path} is held back from what is granted above it: the label denies {denied} there"
        place = denying.place or home_of(label.policy, FILESYSTEM)
        return Answer(FILESYSTEM, rule, place, (), judgement, "take it out there: a denial wins over everything that is granted")
    above = label.above(text)
    place = (above.place if above else None) or home_of(label.policy, FILESYSTEM)
    granted = _said(label.granted(text)) or "nothing"
    rule = f"the rules down to {above.path if above else '/'} grant {granted}, and not {_said(missing)}"
    if not is_plain(path):
        attempt = f"its name is not one that a profile could hold, so grant what it lies in under {', '.join(fields)}"
        return Answer(FILESYSTEM, rule, place, (), judgement, attempt)
    grants = tuple(Grant(FILESYSTEM, name, json.dumps(path.decode())) for name in fields)
    return Answer(FILESYSTEM, rule, place, grants, judgement, "" if label.is_made else _to_author(access, label))


def _of_own_name(access: ProfileRefusal, label: Label, judgement: Judgement) -> Answer:
    """What the sections grant, and the profile that was given does not."""
    if label.is_made:
        rule = "the label grants it under this path, which the file did not have when it was asked for"
        return Answer(apparmor.NAME, rule, label.place, (), judgement)
    rule = f"the sections grant it, and {label.name}, which is not made from them, does not"
    return Answer(apparmor.NAME, rule, label.place, (), judgement, _to_author(access, label))


def _to_author(access: ProfileRefusal, label: Label) -> str:
    """The rule for a profile that somebody else writes."""
    letters = {_RULE_OF[letter] for letter in access.denied}
    path = access.path or b""
    if not is_plain(path):
        return f"a rule for it in {label.name}"
    words = "".join(sorted(letters - {"x"})) + ("ix" if "x" in letters else "")
    return f"in {label.name}: {quoted(path.decode(), None)} {words},"


def _of_capability(name: str, label: Label, rule: str = "") -> Answer:
    is_held = bool(label.scene.capabilities >> CAPABILITIES[name] & 1)
    if is_held and not label.is_made:
        words = f"the box holds {name}, and {label.name}, which is not made from its sections, does not grant it"
        return Answer(apparmor.NAME, words, label.place, (), CAPABILITY, f"in {label.name}: {rule or f'capability {name},'}")
    words = f"the box holds no {name}; a user namespace that the job makes for itself gives none under a label"
    grants = () if is_held else (Grant(KEPT, "keep", name),)
    return Answer(KEPT, words, home_of(label.policy, KEPT), grants, CAPABILITY)


def _of_network(access: ProfileRefusal, label: Label) -> Answer:
    rule = f"network {access.family} {access.socket},"
    if access.family not in _FAMILIES and access.family != "packet":
        words = f"no label lets a box make sockets of the family {access.family}"
        attempt = "nothing" if label.is_made else f"in {label.name}: {rule}"
        return Answer(apparmor.NAME, words, label.place, (), UNJUDGED, attempt)
    if access.family == "packet" or (access.socket == "raw" and access.family != "netlink"):
        return _of_capability("net_raw", label, rule)
    if not has_network(label.scene):
        words = "the box has no network, and the label no rule for its sockets"
        grants = (Grant(NETWORK, "mode", "loopback", is_one=True),)
        return Answer(NETWORK, words, home_of(label.policy, NETWORK), grants, LOOPBACK, "`host` in its place to reach others")
    words = f"the box has a network, and {label.name} grants no such socket"
    return Answer(apparmor.NAME, words, label.place, (), UNJUDGED, "" if label.is_made else f"in {label.name}: {rule}")


def _is_granted(access: ProfileRefusal, label: Label) -> bool:
    """Whether the rules of the policy allow what a program did that the kernel had made a profile of its own for."""
    if access.operation == "capable":
        return bool(label.scene.capabilities >> CAPABILITIES.get(access.capability, 63) & 1)
    if access.family:
        return access.family == "unix" or has_network(label.scene)
    if not access.path or not set(access.denied) <= set(_RULE_OF):
        return True
    letters = {_RULE_OF[letter] for letter in access.denied}
    return letters <= label.granted(_path(access).decode("utf-8", "surrogateescape"))


def _path(access: ProfileRefusal) -> bytes:
    """The path without the slash that AppArmor puts behind a directory."""
    return (access.path or b"").rstrip(b"/") or b"/"


def _is_about(rule: FileRule, path: str) -> bool:
    return path == rule.path or (rule.is_directory and not rule.names_only and covers(rule.path, path))


def _letters(rules: list[FileRule], *, is_denied: bool) -> set[str]:
    return {letter for rule in rules if rule.is_denied == is_denied for letter in rule.letters if letter != "i"}


def _said(letters: str | set[str]) -> str:
    return "".join(letter for letter in "rwlkmx" if letter in letters)


def _thing(access: ProfileRefusal) -> str:
    """What was wanted, for people."""
    if access.capability:
        return access.capability
    if access.family:
        return " ".join(word for word in (access.family, access.socket) if word)
    found = []
    if access.path is not None:
        found.append(_shown(access.path))
    if access.other is not None and access.operation != "exec":  # there it is the name of a profile
        found.append(_shown(access.other))
    if access.signal:
        found.append(access.signal)
    if access.peer is not None:
        found.append(f"to {_shown(access.peer)}")
    return " ".join(found)


def _shown(text: bytes) -> str:
    return quote(text[:SHOWN_BYTES], is_whole=len(text) <= SHOWN_BYTES)
