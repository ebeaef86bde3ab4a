"""Files -> Policy: expand, join, override, narrow, widen by options, understand. Nothing else constructs a Policy.

Each file is worth the join of its parents, changed by its overrides, with what it says itself; the order of parents never
matters. `restrict:` layers are met with the whole at last, and what an option widened must survive them. After this module there
is no text.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from sandboxer.compile import options as allowances
from sandboxer.compile.gather import File, Library, reachable
from sandboxer.compile.load import parse_fields, sorted_problems
from sandboxer.compile.options import Statement, Widening
from sandboxer.compile.params import Expander, Setting, joined_params, param_values
from sandboxer.compile.schema import ENFORCE, Vocabulary, vocabulary
from sandboxer.compile.search import Caller, Looked, Search, SearchPaths, caller_of_process, search_paths
from sandboxer.controls import ROOMS
from sandboxer.controls.room import Room, Scope
from sandboxer.controls.shape import misfits
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.algebra import Removed, Sections, inherit, join_parents, narrow, override, removal_name
from sandboxer.model.node import Mapping as MappingNode
from sandboxer.model.node import Node, Scalar
from sandboxer.model.node import Sequence as SequenceNode
from sandboxer.model.place import option_place
from sandboxer.model.policy import Enforce, Layer, Override, Policy, Source, Trait
from sandboxer.model.profile import OverrideText, Param, Restriction
from sandboxer.model.section import Field, Merge, Said, Section, inherited


@dataclass(frozen=True, slots=True)
class Resolved:
    """A policy, and what it depends on.

    trail: every path that was looked at, found or not; when one changes or appears, the policy may be another.
    widened: what the options say, each with what allows it (None where it only narrows).
    valid_until: the first day (YYYY-MM-DD) on which an override has expired, or empty.
    """

    policy: Policy
    trail: tuple[Looked, ...]
    widened: tuple[Statement, ...] = ()
    valid_until: str = ""


def resolve(
    profile: str,
    *,
    options: Iterable[Widening] = (),
    params: Mapping[str, str] | None = None,
    caller: Caller | None = None,
    paths: SearchPaths | None = None,
    rooms: tuple[Room, ...] = ROOMS,
    today: datetime.date | None = None,
) -> Resolved:
    """The policy that a profile means for a caller, with the options that were given.

    profile: a name, or a path (with a slash, or ending in .yaml). params: what `--set` gives. caller: this process's user by
    default. Expiry of overrides is judged at `today`.
    Raises: ProfileError with everything that is wrong and could be found at once.
    """
    caller = caller or caller_of_process()
    search = Search(paths or search_paths(caller))
    library = Library(search, vocabulary(rooms))
    root = library.open(profile, option_place("--profile", profile))
    settings = tuple(Setting(name, value, option_place("--set", f"{name}={value}")) for name, value in (params or {}).items())
    making = _Making(library, caller, rooms, today or datetime.date.today())
    policy, widened = making.policy(root, settings, tuple(options))
    return Resolved(policy, search.looked, widened, making.valid_until)


def syscall_groups(caller: Caller | None = None, *, paths: SearchPaths | None = None) -> Mapping[str, Section]:
    """What each policy of system calls says, with what it builds on, by the name that `@name` has. A file is read when asked for.

    Reading one raises ProfileError if it is wrong.
    """
    caller = caller or caller_of_process()
    library = Library(Search(paths or search_paths(caller)), vocabulary(ROOMS))
    return _Groups(_Making(library, caller, ROOMS, datetime.date.today()))


@dataclass(slots=True)
class _Making:
    """One run of resolve: the library, the values of parameters, and what each file was found to say."""

    library: Library
    caller: Caller
    rooms: tuple[Room, ...]
    today: datetime.date
    expander: Expander = field(default_factory=lambda: Expander({}))
    worth: dict[str, Sections] = field(default_factory=dict)
    overrides: dict[str, Override] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def words(self) -> Vocabulary:
        return self.library.words

    @property
    def valid_until(self) -> str:
        """The first day on which an override no longer holds."""
        dates = [datetime.date.fromisoformat(item.expires) for item in self.overrides.values() if item.expires]
        return (min(dates) + datetime.timedelta(days=1)).isoformat() if dates else ""

    def raise_if_wrong(self) -> None:
        if self.problems:
            raise ProfileError(sorted_problems(self.problems))

    def policy(
        self, root: File, settings: tuple[Setting, ...], options: tuple[Widening, ...]
    ) -> tuple[Policy, tuple[Statement, ...]]:
        declared = self.params(root)
        values = param_values(declared, settings, self.caller, self.problems)
        self.expander = Expander(values)
        sections = self.said_by(root)
        layers = self.layers(root)
        self.raise_if_wrong()
        allowed = sections.get(allowances.NAME, Section())
        widened = self.widened(options, sections, allowed)
        self.raise_if_wrong()
        said = self.narrowed(self.with_options(sections, widened), layers)
        self.check_options_survive(widened, said, layers)
        self.raise_if_wrong()
        understood = self.understood(said, layers)
        self.raise_if_wrong()
        traits = frozenset[Trait]().union(*(room.traits(understood[room.NAME]) for room in self.rooms))
        policy = Policy(
            name=root.profile.name,
            description=root.profile.description,
            sources=self.sources(),
            said=said,
            settings=understood,
            enforce={room.NAME: _enforce(said[room.NAME]) for room in self.rooms},
            layers=layers,
            overrides=tuple(self.overrides[key] for key in sorted(self.overrides)),
            traits=traits,
            params={name: values[name].text for name in sorted(declared)},
            allowances=allowed,
        )
        return policy, widened

    # ── one file after the other ──────────────────────────────────────────────────────────────────────────────────────

    def params(self, root: File) -> dict[str, Param]:
        """What the whole declares, bottom up; a layer declares nothing."""
        known: dict[str, dict[str, Param]] = {}
        for file in reachable(self.library.files, root.path):
            parents = [known[path] for path in file.parents]
            known[file.path] = joined_params(file.profile.params, parents, file.profile.place, self.problems)
        for file in reachable(self.library.files, root.path, with_layers=True):
            if file.path not in known:
                self.refuse_params(file, "a restrict layer")
        return known[root.path]

    def refuse_params(self, file: File, what: str) -> None:
        for param in file.profile.params.values():
            why = "it may use the parameters of the profile"
            self.problems.append(Problem(f"{what} declares no parameters", where=param.place, why=why))

    def said_by(self, root: File) -> Sections:
        """What a file is worth, with everything it builds on."""
        for file in reachable(self.library.files, root.path):
            if file.path not in self.worth:
                self.worth[file.path] = self.worth_of(file)
        return self.worth[root.path]

    def worth_of(self, file: File) -> Sections:
        profile = file.profile
        own = {name: self.parsed(node, name) for name, node in profile.sections.items()}
        parents = [(path, self.worth[path]) for path in file.parents]
        overridden = {item.path for item in profile.overrides}
        joined = join_parents(self.words.rows, [worth for _, worth in parents], own, profile.place, overridden, self.problems)
        for item in profile.overrides:
            joined = self.overridden(joined, item)
        return inherit(self.words.rows, own, joined)

    def overridden(self, joined: dict[str, Section], item: OverrideText) -> dict[str, Section]:
        """The join of the parents after one override, which is recorded."""
        if item.expires and datetime.date.fromisoformat(item.expires) < self.today:
            attempt = "look whether the reason still holds, and give it a new date"
            what = f"the override of {item.path} expired on {item.expires}"
            self.problems.append(Problem(what, where=item.place, why=f"its reason was: {item.reason}", attempt=attempt))
        self.overrides[f"{item.path} {item.place.show()}"] = Override(item.path, item.reason, item.place, item.expires)
        before = len(self.problems)
        self.expander.lacks_value = False
        value = self.expander.expanded(item.value, self.problems) if item.value is not None else None
        removed = self.expander.expanded(item.removed, self.problems) if item.removed is not None else None
        if len(self.problems) > before or self.expander.lacks_value:
            return joined
        row = self.words.rows[item.control][item.field]
        said = self.parsed_value(value, row) if value is not None else None
        gone = self.removed(removed, row) if isinstance(removed, SequenceNode) else {}
        if len(self.problems) > before:
            return joined
        return override(joined, item, row, value=said, removed=gone, problems=self.problems)

    def parsed_value(self, node: Node, row: Field) -> tuple[Said, ...]:
        """What one value says, judged and parsed."""
        found = misfits(node, row.shape)
        self.problems.extend(misfit.problem for misfit in found)
        try:
            return () if found else row.parse(node)
        except ProfileError as error:
            self.problems.extend(error.problems)
            return ()

    def removed(self, node: SequenceNode, row: Field) -> Removed:
        """The entries that an override names, each with its node."""
        if row.key is not None and all(isinstance(item, Scalar) for item in node.items):
            return {item.text: item for item in node.items if isinstance(item, Scalar)}
        return {
            removal_name(row, one.value): item
            for item in node.items
            for one in self.parsed_value(replace(node, items=(item,)), row)
        }

    def parsed(self, node: MappingNode, control: str) -> Section:
        """What a section says, with its `${...}` replaced. What was replaced is judged again, for it had no shape before."""
        rows = self.words.rows[control]
        before = len(self.problems)
        self.expander.lacks_value = False
        expanded = self.expander.mapping(node, self.problems)
        if len(self.problems) > before or self.expander.lacks_value:
            return Section()
        for (key, new), (_, old) in zip(expanded.entries, node.entries, strict=True):
            if new is not old:
                self.problems.extend(misfit.problem for misfit in misfits(new, rows[key.text].shape))
        return parse_fields(expanded, rows, self.problems) if len(self.problems) == before else Section()

    # ── layers ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def layers(self, root: File) -> tuple[Layer, ...]:
        """Every `restrict:` entry of the profile and its parents, each once, in an order of their own."""
        found: dict[str, Layer] = {}
        for file in reachable(self.library.files, root.path):
            by_reference = {reference.place: path for path, reference in file.layers}
            for entry in file.profile.restrict:
                layer = self.layer(entry, by_reference.get(entry.place, ""))
                known = found.get(layer.name)
                found[layer.name] = layer if known is None else min(known, layer, key=lambda one: one.place)
        return tuple(found[name] for name in sorted(found))

    def layer(self, entry: Restriction, path: str) -> Layer:
        if entry.reference is None:
            sections: Sections = {name: self.parsed(node, name) for name, node in entry.sections.items()}
            name = f"restrict at {entry.place.show()}"
        else:
            sections = self.said_by(self.library.files[path])
            name = entry.reference.name
        for control, field_name, row in self.said_rows(sections):
            if row.merge is Merge.CHOICE:
                place = min(item.place for item in sections[control].said[field_name])
                why = "a layer can only narrow, and this is neither narrow nor wide"
                what = f"a restrict layer may not say {control}.{field_name}"
                self.problems.append(Problem(what, where=place, why=why, attempt="say it in a profile"))
        return Layer(name, entry.place, sections)

    def said_rows(self, sections: Sections) -> Iterator[tuple[str, str, Field]]:
        for control, section in sections.items():
            for name, items in section.said.items():
                if items:
                    yield control, name, self.words.rows[control][name]

    def narrowed(self, sections: Sections, layers: tuple[Layer, ...]) -> dict[str, Section]:
        """The sections of all controls under all layers. Rooms that keep layers apart narrow nothing here but `enforce`."""
        made = {}
        for room in self.rooms:
            rows = self.words.rows[room.NAME]
            rows = {ENFORCE: rows[ENFORCE]} if room.STACKED else rows
            section = sections.get(room.NAME, Section())
            for layer in layers:
                section = narrow(rows, section, layer.sections.get(room.NAME, Section()))
            made[room.NAME] = section
        return made

    # ── options ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def widened(self, options: tuple[Widening, ...], sections: Sections, allowed: Section) -> tuple[Statement, ...]:
        """What the options say, if the profile allows it."""
        cwd, home = self.caller.cwd, self.caller.home
        found = []
        for option in options:
            target = allowances.target_of(option)
            row = self.words.rows[target.control][target.field]
            now = sections.get(target.control, Section()).said.get(target.field, ())
            try:
                statement = allowances.stated(option, row, cwd=cwd, home=home)
                statement = allowances.allowed(statement, row, now, allowed, cwd=cwd, home=home)
                allowances.check_denied(statement, sections, cwd=cwd, home=home)
                found.append(statement)
            except ProfileError as error:
                self.problems.extend(error.problems)
        return tuple(found)

    def with_options(self, sections: Sections, widened: tuple[Statement, ...]) -> Sections:
        """The sections with what the options say. An option stands above what the profile says itself."""
        made = dict(sections)
        for item in widened:
            control, name = item.target.control, item.target.field
            section = made.get(control, Section())
            before = () if item.target.replaces else section.said.get(name, ())
            row = self.words.rows[control][name]
            made[control] = Section({**section.said, name: inherited(row, item.said, before)})
        return made

    def check_options_survive(
        self, widened: tuple[Statement, ...], said: Mapping[str, Section], layers: tuple[Layer, ...]
    ) -> None:
        """An option that a layer takes away again is an error, and no silence."""
        for item in widened:
            left = said[item.target.control].values(item.target.field)
            if all(one.value in left for one in item.said):
                continue
            blamed = [layer for layer in layers if item.target.field in layer.sections.get(item.target.control, Section()).said]
            names = ", ".join(f"{layer.name} ({layer.place.show()})" for layer in blamed)
            what = f"{item.option.kind.flag} {item.option.value} is taken away by a restrict layer"
            self.problems.append(Problem(what, where=item.option.place, why=f"the layer is {names}"))

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def understood(self, said: Mapping[str, Section], layers: tuple[Layer, ...]) -> dict[str, object]:
        """The typed settings of every room; what is wrong in one room does not hide the others."""
        scope = Scope(self.caller.cwd, self.caller.home, groups=_Groups(self), layers=layers)
        made: dict[str, object] = {}
        for room in self.rooms:
            try:
                made[room.NAME] = room.understand(said[room.NAME], scope)
            except ProfileError as error:
                self.problems.extend(error.problems)
        return made

    def sources(self) -> tuple[Source, ...]:
        """The files that were used, by kind and name."""
        files = sorted(self.library.files.values(), key=lambda file: (file.profile.kind.value, file.profile.name))
        return tuple(Source(file.profile.name, file.path, file.profile.kind.value) for file in files)


class _Groups(Mapping[str, Section]):
    """What each `@group` says about system calls; a file is loaded when its group is asked for."""

    def __init__(self, making: _Making) -> None:
        self._making = making

    def __getitem__(self, name: str) -> Section:
        making = self._making
        file = making.library.open_group(name)
        if file is None:
            raise KeyError(name)
        for one in reachable(making.library.files, file.path):
            if one.path not in making.worth:
                making.refuse_params(one, "a group of system calls")
        sections = making.said_by(file)
        making.raise_if_wrong()
        return sections.get("seccomp", Section())

    def __iter__(self) -> Iterator[str]:
        return self._making.library.group_names()

    def __len__(self) -> int:
        return len(tuple(iter(self)))


def _enforce(section: Section) -> Enforce:
    item = section.one(ENFORCE)
    return item.value if item is not None and isinstance(item.value, Enforce) else Enforce.REQUIRED
