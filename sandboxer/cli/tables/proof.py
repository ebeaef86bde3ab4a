"""`sandboxer check --prove`: the table of what was tried, as text and as JSON, and the exit status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from sandboxer.cli.check import Paper
from sandboxer.cli.options import visible
from sandboxer.errors import SandboxerError
from sandboxer.prove.probe import Proof, Verdict
from sandboxer.prove.prover import prove

GOOD = frozenset({Verdict.HOLDS, Verdict.WEAKER})


@dataclass(frozen=True, slots=True)
class Proven:
    """The rows of one profile. refusal: why it does not even start; empty if it does."""

    profile: str
    rows: tuple[Proof, ...] = ()
    refusal: str = ""

    @property
    def is_good(self) -> bool:
        """Everything was tried, and nothing held less than the report of the plan says."""
        return not self.refusal and all(row.verdict in GOOD for row in self.rows)


def run_proofs(profiles: list[str], paper: Paper, *, as_json: bool) -> int:
    """Prove each profile, print; the exit status."""
    found = []
    for profile in dict.fromkeys(profiles):
        proven = prove_profile(profile)
        found.append(proven)
        if not as_json:
            print("\n".join(show_proven(proven, paper)), flush=True)
    if as_json:
        print(json.dumps({"profiles": [proven_json(proven) for proven in found]}, indent=2))
    return 0 if all(proven.is_good for proven in found) else 1


def prove_profile(profile: str) -> Proven:
    """All rows of a profile."""
    try:
        return Proven(profile, tuple(prove(profile)))
    except SandboxerError as error:
        return Proven(profile, refusal="; ".join(problem.what for problem in error.problems))


def show_proven(proven: Proven, paper: Paper) -> Iterator[str]:
    """The table of one profile, with the sum of its verdicts."""
    name = visible(proven.profile)
    if proven.refusal:
        yield f"{name}: {paper.word('refused', 0)}: {visible(proven.refusal)}"
        return
    sums = ((verdict, sum(row.verdict is verdict for row in proven.rows)) for verdict in Verdict)
    yield f"{name}: {', '.join(f'{count} {verdict.value}' for verdict, count in sums if count)}"
    table = [[row.verdict.value, row.row, declared_words(row), row.enforced_by or "-"] for row in proven.rows]
    widths = [max((len(cells[place]) for cells in table), default=0) + 2 for place in range(4)]
    for cells, row in zip(table, proven.rows, strict=True):
        head = "".join(cell.ljust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
        line = f"  {paper.word(cells[0], widths[0])}{visible(head)}"
        if paper.width and 2 + sum(widths) + len(row.observed) > paper.width:
            yield line.rstrip()
            yield from paper.wrap(visible(row.observed), 2 + widths[0])
        else:
            yield f"{line}{visible(row.observed)}".rstrip()


def declared_words(row: Proof) -> str:
    """`4G, tried with 64M`."""
    return f"{row.declared}, tried with {row.tried}" if row.tried else row.declared


def proven_json(proven: Proven) -> dict[str, object]:
    """One profile as plain data."""
    rows = [
        {
            "row": row.row,
            "declared": row.declared,
            "tried": row.tried,
            "enforced_by": row.enforced_by,
            "observed": row.observed,
            "verdict": row.verdict.value,
        }
        for row in proven.rows
    ]
    return {"profile": proven.profile, "is_good": proven.is_good, "refusal": proven.refusal, "rows": rows}
