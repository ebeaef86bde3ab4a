"""A third wall where the kernel has SELinux: a domain for the command, made from what the other sections say, or one by name.

The room derives its module from what other rooms show (`Scene.shown`). It neither loads nor looks: root loads a module once
(`sandboxer policy install`), and what is not loaded is told in `Host.unloaded`. Two categories of its own tell a box's files from
those of every other; they are chosen when it starts, and the plan has `PAIR` in their place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandboxer.controls import parse
from sandboxer.controls.lsm.selinux.module import PREFIX, SHARED_TYPE, Module, make_module
from sandboxer.controls.lsm.sockets import has_network
from sandboxer.controls.room import Lack, Lowered, Scene, Scope
from sandboxer.controls.said import choice, own, places_of
from sandboxer.errors import HostError, Problem, ProfileError
from sandboxer.model.host import Host
from sandboxer.model.node import Node
from sandboxer.model.op import PAIR, LabelMounts, SetExecContext, Text
from sandboxer.model.place import Place
from sandboxer.model.plan import Step
from sandboxer.model.policy import Enforce, Policy, Trait
from sandboxer.model.report import Line, Status
from sandboxer.model.section import Field, Merge, Section
from sandboxer.model.stage import Stage

__all__ = [
    "FIELDS", "FILE_TYPES", "NAME", "PREFIX", "SHARED_MODULE", "SHARED_TYPE", "STACKED", "TITLE", "Module", "Settings",
    "explain", "in_place", "lower", "make_module", "mentions", "need", "refuses_sockets", "settings", "shared_module_path",
    "traits", "understand", "widens",
]  # fmt: skip

NAME = "selinux"
TITLE = "a domain of SELinux for the command"
STACKED = False
NONE, GENERATE, OWN = "none", "generate", "own"
FILE_TYPES = {"container_t": "container_file_t"}
"""The type of the files of a domain that others define, where everybody who has the one has the other."""
SHARED_MODULE = "sandboxer"
_LOST = "files, sockets and other processes are held by the other sections alone"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,127}", re.ASCII)
_PAIR = re.compile(r"c(0|[1-9][0-9]{0,3}),c(0|[1-9][0-9]{0,3})", re.ASCII)
_MOST_CATEGORY = 1023


def shared_module_path() -> str:
    """The file of the module that has the type of directories of the host; it is loaded beside the others."""
    return str(Path(__file__).with_name(f"{SHARED_MODULE}.cil"))


def _type(node: Node) -> str:
    value = parse.text(node)
    if not _NAME.fullmatch(value):
        why = "a type has letters, digits, dots and _ only, a letter first"
        parse.fail(node, f"{value!r} cannot name a type of SELinux", why=why, attempt=f"{GENERATE}, {NONE}, or a type")
    return value


def _categories(node: Node) -> str:
    value = parse.text(node)
    if value in (OWN, NONE):
        return value
    found = _PAIR.fullmatch(value)
    numbers = sorted({int(number) for number in found.groups()}) if found else []
    if len(numbers) != 2 or numbers[1] > _MOST_CATEGORY:
        why = f"a box has two different categories from c0 to c{_MOST_CATEGORY}, or none"
        parse.fail(node, f"{value!r} is no pair of categories", why=why, attempt=f"{OWN}, {NONE}, or `c12,c345`")
    return f"c{numbers[0]},c{numbers[1]}"


FIELDS: tuple[Field, ...] = (
    Field(
        "type",
        Merge.CHOICE,
        {"type": "string"},
        parse.one(_type),
        "`generate`: an SELinux module is made from the other sections, which root loads once (`sandboxer policy install`); the "
        "name of a domain that the machine's policy has; or `none`.",
        default=NONE,
    ),
    Field(
        "file_type",
        Merge.CHOICE,
        {"type": "string"},
        parse.one(_type),
        "the type of the box's own file systems, for a domain by name; that of `container_t` is `container_file_t`.",
    ),
    Field(
        "categories",
        Merge.CHOICE,
        {"type": "string"},
        parse.one(_categories),
        "`own`: each box gets two categories that no other one has, and cannot read the others' files; two by name (`c12,c345`), "
        "which boxes then share; or `none`, for a policy without them.",
        default=OWN,
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """type: `none`, `generate`, or a domain. categories: `own`, `none`, or two of them."""

    type: str = NONE
    file_type: str = ""
    categories: str = OWN
    places: Mapping[str, Place] = field(default_factory=dict, compare=False)


def understand(section: Section, scope: Scope) -> Settings:
    """The typed settings. Where nothing was said there is no label.

    Raises: ProfileError for a domain whose files have no type.
    """
    places = places_of(section)
    domain = choice(section, "type", NONE)
    file_type = choice(section, "file_type", "") or FILE_TYPES.get(domain, "")
    if domain in (NONE, GENERATE) and "file_type" in places:
        why = "only a domain by name needs one"
        raise ProfileError(Problem(f"{NAME}.file_type has no use here", where=places["file_type"], why=why))
    if domain not in (NONE, GENERATE) and not file_type:
        what = f"nothing says which type the files of a box in {domain} have"
        raise ProfileError(Problem(what, where=places.get("type"), attempt=f"{NAME}: {{type: {domain}, file_type: ...}}"))
    return Settings(domain, file_type, choice(section, "categories", OWN), places)


def settings(policy: Policy) -> Settings:
    """This room's settings of a policy."""
    return own(Settings, policy.settings[NAME])


def traits(settings: object) -> frozenset[Trait]:
    """Whether the command gets a label."""
    return frozenset() if own(Settings, settings).type == NONE else frozenset({Trait.HAS_LABEL})


def mentions(settings: object) -> frozenset[str]:
    """No paths of its own."""
    return frozenset()


def refuses_sockets(settings: object, scene: Scene) -> bool:
    """Whether a module that is made of the policy refuses to make a socket of a network."""
    return own(Settings, settings).type == GENERATE and not has_network(scene) and not scene.host.is_permissive


def need(settings: object, host: Host) -> tuple[Lack, ...]:
    """A kernel with SELinux that enforces its policy, and categories in it where the box wants some."""
    mine = own(Settings, settings)
    if mine.type == NONE:
        return ()
    place = mine.places.get("type")
    if host.selinux_problem:
        return (Lack("SELinux cannot be used here", host.selinux_problem, host.selinux_mend, _LOST, place),)
    found = []
    if host.is_permissive:
        why = "it records what its policy does not allow, and refuses nothing"
        found.append(Lack("SELinux is permissive", why, "sudo setenforce 1", _LOST, place))
    if mine.categories != NONE and not _level_of(host):
        why = "the machine's policy was built without levels"
        attempt = f"{NAME}: {{categories: {NONE}}}"
        lost = "boxes of one profile can use each other's files, where they see them"
        found.append(Lack("a box cannot have categories of its own", why, attempt, lost, mine.places.get("categories", place)))
    return tuple(found)


def _level_of(host: Host) -> str:
    """The sensitivity of whoever calls; empty where the policy has none."""
    parts = host.selinux_context.split(":", 3)
    return parts[3].split("-")[0].split(":")[0] if len(parts) == 4 else ""


def _contexts(mine: Settings, host: Host, domain: str, file_type: str) -> tuple[str, str]:
    """The contexts of the command and of the files of the box. User and role stay the caller's: a policy lets few change them."""
    user, role = host.selinux_context.split(":", 3)[:2]
    level = _level_of(host)
    categories = "" if mine.categories == NONE else f":{PAIR if mine.categories == OWN else mine.categories}"
    ending = f":{level}{categories}" if level else ""
    return f"{user}:{role}:{domain}{ending}", f"{user}:object_r:{file_type}{ending}"


def lower(settings: object, scene: Scene) -> Lowered:
    """The steps that have execve give the context, and mounts theirs. Raises: HostError where it is required and not loaded."""
    mine = own(Settings, settings)
    if mine.type == NONE or scene.host.selinux_problem:
        return Lowered()
    place = mine.places.get("type")
    module = make_module(scene) if mine.type == GENERATE else None
    domain, file_type = (module.domain, module.file_type) if module else (mine.type, mine.file_type)
    missing = next((item for item in scene.host.unloaded if item.name in (domain, file_type)), None)
    if missing is not None:
        what, why = f"the SELinux domain {domain} cannot hold the command", missing.found
        if scene.enforce is Enforce.REQUIRED:
            raise HostError(Problem(what, where=place, why=f"{why}; the section `{NAME}` is required", attempt=missing.mend))
        return Lowered(lines=(Line(NAME, Status.WEAKENED, what, _LOST, why, missing.mend, place),))
    context, files = _contexts(mine, scene.host, domain, file_type)
    steps = (
        Step(LabelMounts(Text(files)), Stage.SOURCES, NAME, place),
        Step(SetExecContext(Text(context)), Stage.LABEL, NAME, place),
    )
    if scene.host.is_permissive:
        return Lowered(steps)  # `need` has told it
    made = "made from this policy" if module else "by its name"
    with_pair = {OWN: " with two categories of its own", NONE: ""}.get(mine.categories, f" with {mine.categories}")
    line = Line(NAME, Status.ENFORCED, f"the SELinux domain {domain} holds the command{with_pair}, {made}", place=place)
    return Lowered(steps, (line,))


def in_place(settings: object, scene: Scene) -> Lowered:
    """Nothing: a context is for the command of a box."""
    mine = own(Settings, settings)
    if mine.type == NONE:
        return Lowered()
    why = "its rules are about the files of a box, and the kernel gives it with an execve into one"
    return Lowered(lacks=(Lack("an SELinux domain without a box", why, "", _LOST, mine.places.get("type")),))


def explain(settings: object) -> tuple[str, ...]:
    """What the section means, in sentences."""
    mine = own(Settings, settings)
    if mine.type == NONE:
        return ()
    which = "one that is made from the other sections" if mine.type == GENERATE else mine.type
    pair = {
        OWN: "with two categories that no other box has",
        NONE: "without categories, so boxes of the domain can use each other's files, where they see them",
    }.get(mine.categories, f"with the categories {mine.categories}, like every box that has them")
    return (f"The command is in an SELinux domain: {which}, {pair}.",)


def widens(old: object, new: object) -> tuple[str, ...]:
    """What `new` allows that `old` does not, in sentences."""
    before, after = own(Settings, old), own(Settings, new)
    if before.type == NONE:
        return ()
    found = []
    if before.type != after.type:
        found.append(f"{NAME}.type: {after.type} instead of {before.type}")
    elif before.file_type != after.file_type:
        found.append(f"{NAME}.file_type: {after.file_type} instead of {before.file_type}")
    if after.type != NONE and after.categories != before.categories and before.categories != NONE and after.categories != OWN:
        found.append(f"{NAME}.categories: {after.categories}")
    return tuple(found)
