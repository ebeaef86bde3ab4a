"""Things that each row of the real rooms can say, found by trying words of many kinds in every form of its shape."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping

from sandboxer.compile.schema import Vocabulary, vocabulary
from sandboxer.controls import ROOMS
from sandboxer.controls.shape import misfits
from sandboxer.errors import ProfileError
from sandboxer.model.node import Mapping as MappingNode
from sandboxer.model.node import Node, Scalar
from sandboxer.model.node import Sequence as SequenceNode
from sandboxer.model.place import Place
from sandboxer.model.section import Field, Said

WORDS: Vocabulary = vocabulary(ROOMS)
PLACE = Place("samples.yaml", 1, 1, "sample")
NUMBERS = (0, 1, 3, 5, 64, 1000, 65536)
TEXTS = (
    *(
        "/",
        "/usr",
        "/usr/lib?",
        "/data/x",
        "/data",
        "~/x",
        "/dev/kvm?",
        "/dev/null",
        "/proc/sys",
        "/proc/kcore",
        "/proc/1/ns/net",
    ),
    *("64K", "1M", "2G", "unlimited", "10s", "1h30m", "250ms", "022", "0755", "077"),
    *("HOME", "LC_*", "*", "PATH", "CI", "TERM"),
    *("read", "write", "openat", "socket", "ptrace", "clone3", "@base", "@network", "EPERM", "ENOSYS", "libseccomp", "own"),
    *("CAP_CHOWN", "CAP_NET_ADMIN", "chown", "net_admin", "noroot", "no_setuid_fixup", "keep_caps_locked", "keep_caps"),
    *("new", "host", "none", "nobody", "sandbox", "single", "range", "required", "best_effort", "TERM", "KILL", "SIGTERM"),
    *("execute", "refer", "signal", "network"),
    *("100000", "1000"),
)
EXTRAS: tuple[object, ...] = (
    {"socket": {"family": "AF_UNIX"}},
    {"socket": {"family": {"in": ["AF_INET", "AF_INET6"]}}},
    {"socket": {"expr": "family < 3 && type & 15 != 3"}},
    {"@network": {"but": ["bind"]}, "when": {"kernel": ">=5.8"}},
    {"ENOSYS": ["clone3", "read"]},
    {"read": 1200, "openat": 80},
    {"read": 7},
    {"A": "b", "B": "c"},
    {"A": "d"},
    {"monotonic": "10s"},
    {"monotonic": "5s", "boottime": "1h"},
)


def node_of(value: object, place: Place = PLACE) -> Node:
    """Python data as nodes."""
    match value:
        case dict():
            return MappingNode(tuple((Scalar(str(k), str(k), False, place), node_of(v, place)) for k, v in value.items()), place)
        case list() | tuple():
            return SequenceNode(tuple(node_of(item, place) for item in value), place)
        case bool():
            return Scalar(value, str(value).lower(), False, place)
        case int():
            return Scalar(value, str(value), False, place)
        case _:
            return Scalar(str(value), str(value), True, place)


def _candidates(shape: Mapping[str, object]) -> Iterator[object]:
    """Values that may have a shape."""
    if isinstance(allowed := shape.get("allowed"), list | tuple) and shape.get("type") != "list":
        yield from allowed
        return
    for rules in (shape.get("anyof"), shape.get("oneof")):
        for rule in rules if isinstance(rules, list | tuple) else ():
            yield from _candidates(rule)
    kinds = shape.get("type", ())
    for kind in kinds if isinstance(kinds, list | tuple) else [kinds]:
        match kind:
            case "boolean":
                yield from (True, False)
            case "integer":
                yield from NUMBERS
            case "string":
                yield from TEXTS
            case "dict":
                yield from _mappings(shape)
            case "list":
                below = shape.get(
                    "schema", {"type": "string", "allowed": shape["allowed"]} if "allowed" in shape else {"type": "string"}
                )
                yield from ([item] for item in (*EXTRAS, *(_candidates(below) if isinstance(below, Mapping) else ())))


def _mappings(shape: Mapping[str, object]) -> Iterator[object]:
    yield from EXTRAS
    rows = shape.get("schema")
    if not isinstance(rows, Mapping):
        return
    options = {name: list(itertools.islice(_candidates(row), 80)) for name, row in rows.items()}
    required = [name for name, row in rows.items() if row.get("required")]
    for text in TEXTS[:12]:
        least = dict.fromkeys(required, text)
        yield least
        for name in options:
            if name not in required:
                yield from ({**least, name: value} for value in options[name])


def _parsed(row: Field, value: object) -> tuple[Said, ...]:
    node = node_of(value)
    if misfits(node, row.shape):
        return ()
    try:
        return row.parse(node)
    except ProfileError:
        return ()


@functools.cache
def samples(control: str, name: str) -> tuple[tuple[Said, ...], ...]:
    """Different things that a row can say, each as one statement."""
    row = WORDS.rows[control][name]
    found: dict[tuple[object, ...], tuple[Said, ...]] = {}
    for value in itertools.islice(_candidates(row.shape), 600):
        try:
            said = _parsed(row, value)
        except Exception as error:
            raise AssertionError(f"{control}.{name} cannot parse {value!r}") from error
        if said:
            found.setdefault(tuple(item.value for item in said), said)
        if len(found) >= 24:
            break
    return tuple(found.values())


def all_rows() -> list[tuple[str, str]]:
    """Every row of every section, the generic one and those of `options` included."""
    return [(control, name) for control, rows in WORDS.rows.items() for name in rows]
