"""The algebra of section.py for whole files: join the parents, override, inherit, narrow by a layer.

Everything here takes what was said and gives what is said then. No text, no disk, no room by name. What cannot be joined becomes
a problem that names both places.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from sandboxer.errors import Problem
from sandboxer.model.node import Node, Scalar
from sandboxer.model.place import Place
from sandboxer.model.profile import OverrideText
from sandboxer.model.section import Field, Merge, Said, Section, inherited, joined, narrowed

Sections = Mapping[str, Section]
Words = Mapping[str, Mapping[str, Field]]
"""The rows of every section."""
Removed = Mapping[Hashable, Node]
"""What an override takes away, by `removal_name`, with where it says so."""


def join_sections(rows: Mapping[str, Field], one: Section, other: Section) -> Section:
    """What two files say about one control. A field that is said to be empty stays said."""
    names = dict.fromkeys((*one.said, *other.said))
    return Section({name: joined(rows[name], one.said.get(name, ()), other.said.get(name, ())) for name in sorted(names)})


def join_parents(
    words: Words,
    parents: Sequence[Sections],
    own: Sections,
    where: Place,
    overridden: set[str],
    problems: list[Problem],
) -> dict[str, Section]:
    """The join of all parents. Where two of them differ about something neutral, the file itself or its override must say it."""
    made: dict[str, Section] = {}
    for control, rows in words.items():
        said = [parent[control] for parent in parents if control in parent]
        whole = Section()
        for section in said:
            whole = join_sections(rows, whole, section)
        if said:
            made[control] = whole
        mine = own.get(control, Section())
        for name in whole.said:
            if f"{control}.{name}" not in overridden:
                found = [section.said[name] for section in said if section.said.get(name)]
                problems.extend(_conflicts(f"{control}.{name}", rows[name], found, mine.said.get(name, ()), where))
    return made


def _conflicts(path: str, row: Field, parents: list[tuple[Said, ...]], own: tuple[Said, ...], where: Place) -> list[Problem]:
    """Where parents differ about a choice, or about the value of one name, and the file itself is silent."""
    if row.merge is Merge.CHOICE and not own:
        first = parents[0] if parents else ()
        other = next((items for items in parents if {i.value for i in items} != {i.value for i in first}), None)
        return [_conflict(path, first[0].place, other[0].place, where)] if other else []
    if row.key is None:
        return []
    names = {row.key(item.value) for item in own}
    known: dict[Hashable, Said] = {}
    found = []
    for item in sorted((item for items in parents for item in items), key=lambda item: item.place):
        name = row.key(item.value)
        first_item = known.setdefault(name, item)
        if first_item.value != item.value and name not in names:
            found.append(_conflict(f"{path}.{name}", first_item.place, item.place, where))
            names.add(name)
    return found


def _conflict(path: str, one: Place, other: Place, where: Place) -> Problem:
    texts = [f"{place.show()} says `{_short(place.text.strip())}`" for place in sorted((one, other))]
    what = f"{path} is said in two ways, and this file does not say which one holds"
    return Problem(what, where=where, why=", ".join(texts), attempt=f"say {path} in {where.file}")


def inherit(words: Words, own: Sections, parents: Sections) -> dict[str, Section]:
    """What a file is worth: its own statements, and what it inherits."""
    made: dict[str, Section] = {}
    for control, rows in words.items():
        if control not in own and control not in parents:
            continue
        mine, theirs = own.get(control, Section()), parents.get(control, Section())
        names = sorted({*mine.said, *theirs.said})
        made[control] = Section(
            {name: inherited(rows[name], mine.said.get(name, ()), theirs.said.get(name, ())) for name in names}
        )
    return made


def narrow(rows: Mapping[str, Field], base: Section, layer: Section) -> Section:
    """What is left of a section under a layer. A list of grants that a layer says to be empty leaves nothing of them."""
    made = dict(base.said)
    for name, items in layer.said.items():
        if name not in rows:
            continue
        if not items and rows[name].merge is Merge.GRANT:
            made[name] = ()
        elif (left := narrowed(rows[name], base.said.get(name, ()), items)) or name in made:
            made[name] = left
    return Section({name: made[name] for name in sorted(made)})


def override(
    parents: Mapping[str, Section],
    item: OverrideText,
    row: Field,
    *,
    value: tuple[Said, ...] | None,
    removed: Removed,
    problems: list[Problem],
) -> dict[str, Section]:
    """The join of the parents with one statement of it replaced by `value`, or with entries taken away.

    A demand that nobody states holds by default all the same, and can be overridden.
    """
    section = parents.get(item.control, Section())
    said = section.said.get(item.field, ())
    if not said and (row.merge is not Merge.STRICTEST or value is None):
        what = f"no parent says {item.path}, so there is nothing to override"
        problems.append(Problem(what, where=item.place, attempt=f"say it in the section {item.control}"))
        return dict(parents)
    left = _without(item, row, said, removed, problems) if value is None else value
    return {**parents, item.control: Section({**section.said, item.field: left})}


def _without(
    item: OverrideText, row: Field, said: tuple[Said, ...], removed: Removed, problems: list[Problem]
) -> tuple[Said, ...]:
    """What is left when entries are taken away; each of them must have been said."""
    known = {removal_name(row, one.value) for one in said}
    for name, node in removed.items():
        if name not in known:
            word = f"`{_short(node.text)}`" if isinstance(node, Scalar) else "this"
            places = ", ".join(dict.fromkeys(one.place.show() for one in said[:3])) + "..." * (len(said) > 3)
            problems.append(
                Problem(f"no parent says {word} in {item.path}", where=node.place, why=f"what is said is at {places}")
            )
    return tuple(one for one in said if removal_name(row, one.value) not in removed)


def removal_name(row: Field, value: Hashable) -> Hashable:
    """By what an override names a value that it removes: by its key, where its row has one."""
    return row.key(value) if row.key is not None else value


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
