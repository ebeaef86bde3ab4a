"""Small rooms, and a directory of profiles and policies, for tests that need no real control."""

from __future__ import annotations

import textwrap
from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from sandboxer.compile.options import Widening, Widens
from sandboxer.compile.resolve import Resolved, resolve
from sandboxer.compile.schema import Vocabulary, vocabulary
from sandboxer.compile.search import Caller, Origin, Root, SearchPaths
from sandboxer.controls import parse
from sandboxer.controls.room import Lack, Lowered, Room, Scene, Scope
from sandboxer.errors import ProfileError
from sandboxer.model.host import Host
from sandboxer.model.place import option_place
from sandboxer.model.policy import Trait
from sandboxer.model.section import Field, Merge, Section

TODAY = date(2030, 6, 15)
TEXTS: dict[str, object] = {"type": "list", "schema": {"type": "string"}}
TEXT: dict[str, object] = {"type": "string"}


@dataclass(frozen=True)
class FakeRoom:
    """A room whose settings are what was said."""

    NAME: str
    FIELDS: tuple[Field, ...]
    STACKED: bool = False
    TITLE: str = "a room of a test"
    seen: list[Scope] = field(default_factory=list)

    def understand(self, section: Section, scope: Scope) -> object:
        self.seen.append(scope)
        return section

    def traits(self, settings: object) -> frozenset[Trait]:
        return frozenset({Trait.HAS_INIT}) if self.NAME == "process" else frozenset()

    def mentions(self, settings: object) -> frozenset[str]:
        return frozenset()

    def need(self, settings: object, host: Host) -> tuple[Lack, ...]:
        return ()

    def lower(self, settings: object, scene: Scene) -> Lowered:
        return Lowered()

    def explain(self, settings: object) -> tuple[str, ...]:
        return ()

    def widens(self, old: object, new: object) -> tuple[str, ...]:
        return ()


def _below(one: Hashable, other: Hashable) -> Hashable | None:
    first, second = str(one).rstrip("/") + "/", str(other).rstrip("/") + "/"
    if first.startswith(second):
        return one
    return other if second.startswith(first) else None


def _first(value: Hashable) -> Hashable:
    return value[0] if isinstance(value, tuple) else value


def paths(name: str, merge: Merge = Merge.GRANT) -> Field:
    return Field(name, merge, TEXTS, parse.each(parse.absolute_path), "paths", meet=_below)


def words(name: str, merge: Merge = Merge.GRANT) -> Field:
    return Field(name, merge, TEXTS, parse.each(parse.text), "words")


def fake_rooms() -> tuple[Room, ...]:
    """Rooms with the names of the real ones, and a row of every kind."""
    number = {"type": ["integer", "string"]}
    boolean = {"type": "boolean"}
    steps = ("none", "loopback", "host")
    return (
        FakeRoom(
            "filesystem",
            (
                paths("read"),
                paths("write"),
                paths("hide", Merge.DENY),
                paths("read_only", Merge.DENY),
                Field("working_directory", Merge.CHOICE, TEXT, parse.one(parse.absolute_path), "where"),
            ),
        ),
        FakeRoom("seccomp", (words("allow"), words("deny", Merge.DENY)), STACKED=True),
        FakeRoom(
            "limits",
            (
                Field("wall", Merge.LEAST, number, parse.one(parse.duration_ms()), "time"),
                Field("memory", Merge.LEAST, number, parse.one(parse.size_bytes()), "bytes"),
                Field("open_files", Merge.LEAST, {"type": ["integer", "string"]}, parse.one(parse.integer()), "descriptors"),
            ),
        ),
        FakeRoom(
            "network",
            (Field("mode", Merge.WIDEST, {**TEXT, "allowed": list(steps)}, parse.one(parse.text), "mode", scale=steps),),
        ),
        FakeRoom(
            "process",
            (
                Field("init", Merge.STRICTEST, boolean, parse.one(parse.boolean), "init", scale=(True, False)),
                Field("hostname", Merge.CHOICE, TEXT, parse.one(parse.text), "name"),
                Field("fds", Merge.GRANT, {"type": "list"}, parse.each(parse.integer()), "descriptors"),
            ),
        ),
        FakeRoom(
            "environment",
            (
                words("pass"),
                Field("set", Merge.GRANT, {"type": "dict"}, parse.entries(parse.variable_name, parse.text), "values", key=_first),
                words("deny", Merge.DENY),
            ),
        ),
    )


def fake_words() -> Vocabulary:
    """What a file can say where the rooms are the small ones."""
    return vocabulary(fake_rooms())


class Tree:
    """A root of profiles and policies in a directory of its own, and a caller who finds them there."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "home"
        self.cwd = self.home / "project"
        self.root = directory / "config"
        self.cwd.mkdir(parents=True)
        self.root.mkdir()
        self.rooms = fake_rooms()
        self.caller = Caller(str(self.cwd), str(self.home), "joe", 1000, 1000)

    @property
    def search(self) -> SearchPaths:
        return SearchPaths((Root(str(self.root), Origin.USER),), str(self.cwd), 1000, 1000)

    def add(self, kind: str, name: str, text: str) -> Path:
        """Write a file with a head made for it."""
        path = self.root / ("profiles" if kind == "profile" else "policies") / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"kind: {kind}\nname: {name}\ndescription: a {kind}\n" + textwrap.dedent(text))
        return path

    def profile(self, name: str, text: str = "") -> Path:
        return self.add("profile", name, text)

    def policy(self, name: str, text: str = "") -> Path:
        return self.add("policy", name, text)

    def resolve(self, name: str, *options: tuple[str, str], **params: str) -> Resolved:
        """Resolve with options as (kind, value) pairs and parameters as words."""
        widenings = [Widening(Widens(kind), value, option_place(f"--{kind}", value)) for kind, value in options]
        return resolve(
            name, options=widenings, params=params, caller=self.caller, paths=self.search, rooms=self.rooms, today=TODAY
        )

    def said(self, name: str, control: str, row: str, *options: tuple[str, str], **params: str) -> tuple[Hashable, ...]:
        """The values that a resolved profile has for one field."""
        return self.resolve(name, *options, **params).policy.said[control].values(row)

    def refusal(self, name: str, *options: tuple[str, str], **params: str) -> str:
        """The whole text of the error that resolving gives."""
        try:
            self.resolve(name, *options, **params)
        except ProfileError as error:
            return str(error)
        raise AssertionError(f"{name} was not refused")
