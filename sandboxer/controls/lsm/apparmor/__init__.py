"""A third wall where the kernel has AppArmor: a label for the command, made from what the other sections say, or one by name.

The room derives its rules from what other rooms show and hold back (`Scene.shown`, `Scene.held`). It neither loads nor looks:
root loads a profile once (`sandboxer policy install`), and what is not loaded is told in `Host.unloaded`.

A caller who is under a profile himself cannot leave it: there the label is stacked on his own, and both hold the command. The
kernel refuses him any other under no_new_privs, and a stacked one only narrows, so nothing else is asked for.
Source: security/apparmor/domain.c, aa_change_profile.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sandboxer.controls import parse
from sandboxer.controls.lsm.apparmor.text import PREFIX, Label, make_label
from sandboxer.controls.lsm.sockets import has_network
from sandboxer.controls.room import Lack, Lowered, Scene, Scope
from sandboxer.controls.said import choice, own, places_of
from sandboxer.errors import HostError, Problem
from sandboxer.model.host import Host
from sandboxer.model.node import Node
from sandboxer.model.op import SetExecLabel, Text
from sandboxer.model.place import Place
from sandboxer.model.plan import Step
from sandboxer.model.policy import Enforce, Policy, Trait
from sandboxer.model.report import Line, Status
from sandboxer.model.section import Field, Merge, Section
from sandboxer.model.stage import Stage

__all__ = [
    "FIELDS", "NAME", "PREFIX", "STACKED", "TITLE", "Label", "Settings", "explain", "in_place", "label_of", "lower", "make_label",
    "mentions", "need", "refuses_sockets", "settings", "traits", "understand", "widens",
]  # fmt: skip

NAME = "apparmor"
TITLE = "a label of AppArmor for the command"
STACKED = False
NONE, GENERATE = "none", "generate"
MODES = ("enforce", "complain")
_LOST = "files, sockets and other processes are held by the other sections alone"
_NAME = re.compile(r"[A-Za-z0-9_.+/-][A-Za-z0-9_.+/-]{0,199}", re.ASCII)


def _profile(node: Node) -> str:
    value = parse.text(node)
    if not _NAME.fullmatch(value) or value == "unconfined":
        why = "a name has letters, digits and _.+-/ only, at most 200 of them; `unconfined` would be no profile"
        parse.fail(node, f"{value!r} cannot name an AppArmor profile", why=why, attempt=f"{GENERATE}, {NONE}, or a name")
    return value


FIELDS: tuple[Field, ...] = (
    Field(
        "profile",
        Merge.CHOICE,
        {"type": "string"},
        parse.one(_profile),
        "`generate`: an AppArmor profile is made from the other sections, which root loads once (`sandboxer policy install`); "
        "the name of one that is loaded; or `none`.",
        default=NONE,
    ),
    Field(
        "mode",
        Merge.STRICTEST,
        {"type": "string", "allowed": list(MODES)},
        parse.one(parse.name_in(MODES, "mode of an AppArmor profile")),
        "the mode in which it must be loaded: `enforce`; `complain` records what it does not allow, and refuses nothing.",
        default="enforce",
        scale=MODES,
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """profile: `none`, `generate`, or a name. mode: one of MODES."""

    profile: str = NONE
    mode: str = "enforce"
    places: Mapping[str, Place] = field(default_factory=dict, compare=False)


def understand(section: Section, scope: Scope) -> Settings:
    """The typed settings. Where nothing was said there is no label, and the other sections hold what they say."""
    return Settings(choice(section, "profile", NONE), choice(section, "mode", "enforce"), places_of(section))


def settings(policy: Policy) -> Settings:
    """This room's settings of a policy."""
    return own(Settings, policy.settings[NAME])


def traits(settings: object) -> frozenset[Trait]:
    """Whether the command gets a label."""
    return frozenset() if own(Settings, settings).profile == NONE else frozenset({Trait.HAS_LABEL})


def mentions(settings: object) -> frozenset[str]:
    """No paths of its own."""
    return frozenset()


def label_of(settings: object, scene: Scene) -> Label:
    """The label that is made of a box, in the mode that its profile says. Raises: ProfileError."""
    return make_label(scene, is_complaining=own(Settings, settings).mode == "complain")


def refuses_sockets(settings: object, scene: Scene) -> bool:
    """Whether a label that is made of the policy refuses to make a socket of a network."""
    mine = own(Settings, settings)
    return mine.profile == GENERATE and mine.mode == "enforce" and not has_network(scene)


def need(settings: object, host: Host) -> tuple[Lack, ...]:
    """A kernel with AppArmor, and a caller who may choose a label."""
    mine = own(Settings, settings)
    if mine.profile == NONE or not host.apparmor_problem:
        return ()
    what = "AppArmor cannot be used here"
    return (Lack(what, host.apparmor_problem, host.apparmor_mend, _LOST, mine.places.get("profile")),)


def lower(settings: object, scene: Scene) -> Lowered:
    """The step that has execve give the label. Raises: HostError where it is required and not loaded; ProfileError."""
    mine = own(Settings, settings)
    if mine.profile == NONE or scene.host.apparmor_problem:
        return Lowered()
    place = mine.places.get("profile")
    name = label_of(mine, scene).name if mine.profile == GENERATE else mine.profile
    missing = next((item for item in scene.host.unloaded if item.name == name), None)
    if missing is not None:
        what = f"the AppArmor profile {name} is not loaded in the mode {mine.mode}"
        why = missing.why or (f"the kernel has it as {missing.found}" if missing.found else "the kernel has none of that name")
        if missing.why:
            what = f"the AppArmor profile {name} cannot be given"
        if scene.enforce is Enforce.REQUIRED:
            raise HostError(Problem(what, where=place, why=f"{why}; the section `{NAME}` is required", attempt=missing.mend))
        return Lowered(lines=(Line(NAME, Status.WEAKENED, what, _LOST, why, missing.mend, place),))
    made = "made from this policy" if mine.profile == GENERATE else "by its name"
    does = "holds" if mine.mode == "enforce" else "watches and does not hold"
    around = scene.host.apparmor_label
    stacked = f", and so does {around}, which the caller is under" if around else ""
    line = Line(NAME, Status.ENFORCED, f"the AppArmor profile {name} {does} the command, {made}{stacked}", place=place)
    op = SetExecLabel(Text(f"{'stack' if around else 'exec'} {name}"), Text(f"{name} ({mine.mode})"))
    return Lowered((Step(op, Stage.LABEL, NAME, place),), (line,))


def in_place(settings: object, scene: Scene) -> Lowered:
    """Nothing: a label is for the command of a box."""
    mine = own(Settings, settings)
    if mine.profile == NONE:
        return Lowered()
    why = "its rules are about the paths of a box, and the kernel gives it with an execve into one"
    return Lowered(lacks=(Lack("an AppArmor label without a box", why, "", _LOST, mine.places.get("profile")),))


def explain(settings: object) -> tuple[str, ...]:
    """What the section means, in sentences."""
    mine = own(Settings, settings)
    if mine.profile == NONE:
        return ()
    which = "one that is made from the other sections" if mine.profile == GENERATE else mine.profile
    does = "" if mine.mode == "enforce" else ", which only records what it does not allow"
    return (f"The command is under an AppArmor profile: {which}{does}.",)


def widens(old: object, new: object) -> tuple[str, ...]:
    """What `new` allows that `old` does not, in sentences."""
    before, after = own(Settings, old), own(Settings, new)
    found = []
    if before.profile not in (NONE, after.profile):
        found.append(f"{NAME}.profile: {after.profile} instead of {before.profile}")
    if NONE not in (before.profile, after.profile) and MODES.index(after.mode) > MODES.index(before.mode):
        found.append(f"{NAME}.mode: {after.mode}")
    return tuple(found)
