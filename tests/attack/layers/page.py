"""The table of layers as people read it: in SECURITY.md between two marks, and in few lines at the end of the tests."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from sandboxer.model.host import Host
from tests.attack.attempts import ATTEMPTS
from tests.attack.layers.measure import PROFILES, ROOT, Outcomes
from tests.attack.layers.verdict import LONE, Cell, Verdicts, is_told, judge_all, stopping
from tests.attack.layers.walls import Layer

PAGE = ROOT / "SECURITY.md"
BEGIN, END = "<!-- what `make layers` has measured; do not edit -->", "<!-- the end of what it has measured -->"
REGENERATE = "make layers"


def show_page(measured: Mapping[str, Outcomes], host: Host) -> str:
    """All that stands between the marks."""
    kernel = ".".join(map(str, host.kernel))
    told = f"Measured on Linux {kernel}, {host.arch}, with version {host.landlock_abi} of Landlock."
    return "\n".join([BEGIN, *_table(measured), "", *lone_table(), "", told, END])


def _table(measured: Mapping[str, Outcomes]) -> Iterator[str]:
    yield f"| attempts | {' | '.join(layer.value for layer in Layer)} |"
    yield f"|---|{'---|' * len(Layer)}"
    groups: dict[tuple[str, ...], list[str]] = {}
    for row in ATTEMPTS:
        groups.setdefault(_written(row.name, measured), []).append(row.name)
    for cells in sorted(groups, key=_order):
        yield f"| {show_names(groups[cells])} | {' | '.join(cells)} |"


def _written(name: str, measured: Mapping[str, Outcomes]) -> tuple[str, ...]:
    """The cells of an attempt: `x` for all profiles, the name of one, `?` where this kernel cannot tell, or nothing."""
    verdicts = judge_all(measured)
    written = []
    for layer in Layer:
        found = [verdicts[profile][name][layer] for profile in PROFILES]
        if Cell.UNKNOWN in found and not is_told(name, measured[PROFILES[0]]):
            written.append(Cell.UNKNOWN.value)
        elif set(found) == {Cell.STOPS}:
            written.append(Cell.STOPS.value)
        else:
            written.append(" ".join(profile for profile, cell in zip(PROFILES, found, strict=True) if cell is Cell.STOPS))
    return tuple(written)


def _order(cells: tuple[str, ...]) -> tuple[object, ...]:
    """Many layers first; what cannot be told last."""
    return (Cell.UNKNOWN.value in cells, -sum(map(bool, cells)), [not cell for cell in cells], cells)


def show_names(names: Iterable[str]) -> str:
    """Names of attempts, as they are typed."""
    return " ".join(f"`{name}`" for name in names)


def lone_table() -> Iterator[str]:
    """The attempts that the kernel has one layer for, and why."""
    yield "| stopped by one layer | which | why there is no second |"
    yield "|---|---|---|"
    for row in LONE:
        where = "" if row.profiles == PROFILES else f" (`{'`, `'.join(row.profiles)}`)"
        yield f"| {show_names(row.names)}{where} | {row.layer.value} | {row.why} |"


def read_marked(text: str) -> str:
    """What stands between the marks of a page, with them. Raises: ValueError."""
    found = re.search(f"{re.escape(BEGIN)}\n.*?{re.escape(END)}", text, re.DOTALL)
    if not found:
        raise ValueError(f"{PAGE.name} has lost the marks of the table")
    return found[0]


def parse_page(marked: str) -> Verdicts:
    """The cells that a page has."""
    verdicts: Verdicts = {profile: {} for profile in PROFILES}
    for line in marked.partition("\n\n")[0].splitlines()[3:]:
        names, *cells = line.strip("|").split("|")
        for profile in PROFILES:
            read = {layer: _read_cell(cell.strip(), profile) for layer, cell in zip(Layer, cells, strict=True)}
            verdicts[profile] |= dict.fromkeys(re.findall(r"`([^`]+)`", names), read)
    return verdicts


def _read_cell(text: str, profile: str) -> Cell:
    if text == Cell.UNKNOWN.value:
        return Cell.UNKNOWN
    return Cell.STOPS if text == Cell.STOPS.value or profile in text.split() else Cell.LETS


def find_differences(marked: str, measured: Mapping[str, Outcomes]) -> list[str]:
    """Where a page says another thing than what was measured here, as far as this kernel can tell."""
    said, found = parse_page(marked), judge_all(measured)
    lines = []
    for profile in PROFILES:
        for row in ATTEMPTS:
            if row.name not in said[profile]:
                lines.append(f"{profile}: {row.name} is missing")
                continue
            lines += (
                f"{profile}: {row.name}: {layer.value}: {said[profile][row.name][layer].name}, measured {cell.name}"
                for layer, cell in found[profile][row.name].items()
                if Cell.UNKNOWN not in (cell, said[profile][row.name][layer])
                and cell is not said[profile][row.name][layer]
                and not _is_newer(row.name)
            )
    if "\n".join(lone_table()) not in marked:
        lines.append("the table of those with one layer is another")
    return [f"{line} (`{REGENERATE}`)" for line in lines]


def _is_newer(name: str) -> bool:
    """This kernel has a layer for it that the one of the page had not."""
    return any(name in row.names and row.is_over for row in LONE)


def summarize(measured: Mapping[str, Outcomes]) -> str:
    """A few lines: how many attempts are stopped by how many layers on their own, and which by one."""
    verdicts = judge_all(measured)
    lines = [f"layers that stop an attempt on their own, of {len(ATTEMPTS)} attempts (the table: {PAGE.name}, Layers)"]
    for profile in PROFILES:
        names = [row.name for row in ATTEMPTS if is_told(row.name, measured[profile])]
        counts = Counter(len(stopping(verdicts[profile][name])) for name in names)
        told = ", ".join(f"{counts[number]} by {number}" for number in sorted(counts, reverse=True))
        lines.append(f"  {profile}: {told}; not in this kernel: {len(ATTEMPTS) - len(names)}")
        for layer in Layer:
            lone = [name for name in names if stopping(verdicts[profile][name]) == (layer,)]
            lines += [f"    by {layer.value} alone: {' '.join(lone)}"] if lone else []
    return "\n".join(lines)
