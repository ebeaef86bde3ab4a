"""`sandboxer check`: what this machine and this user give, what each profile would lose here, and the command that mends it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

from sandboxer.cli.options import Given, Option, visible
from sandboxer.compile.search import caller_of_process, list_profiles
from sandboxer.errors import Problem, SandboxerError
from sandboxer.kernel.ability import Ability, State, find_abilities
from sandboxer.model.host import Host
from sandboxer.model.place import Place
from sandboxer.model.report import Line, Status
from sandboxer.run.prepare import host_for, make_plan, resolve_request
from sandboxer.run.request import Request
from sandboxer.run.scoped import ask_for_scope, probe_in_scope

NAME = "check"
SUMMARY = "Say what this machine can do, and what each profile would lose here"
USAGE = "[--json] [--prove] [PROFILE...]"
OPTIONS = (
    Option("--json", help="print it as JSON"),
    Option("--prove", help="start small probes in real boxes that try to break what the profile says"),
)
NOTES = """
Without PROFILE, every profile that can be found is checked. No command is started and nothing is changed.

With --prove, probes run inside each profile, under its own plan, and trip its limits and rules. The table says what is
declared, who enforces it, what was seen, and how that stands:
  holds     what goes beyond was stopped, and what stays below was left alone
  weaker    this machine cannot keep all of it, as the report of every run says; what was seen all the same
  broken    it does not hold
  untried   it could not be tried, for the reason that is given
A limit that is too large to be reached is tried with a lower value, which is said, and the rest of the plan as it is.

exit status:
  0    every profile can start with everything that it says; with --prove: nothing is broken or untried
  1    a profile would be weakened, or refused; with --prove: something did not hold or could not be tried
"""

WHOLE, WEAKENED, REFUSED = "full", "weakened", "refused"
GREEN, YELLOW, RED = "32", "33", "31"
COLOURS = {
    **dict.fromkeys(("yes", "full", "holds"), GREEN),
    **dict.fromkeys(("part", "weakened", "weaker"), YELLOW),
    **dict.fromkeys(("no", "refused", "broken", "untried"), RED),
}
COPIED = ("mend", "try")
MAX_WIDTH = 110
MIN_WIDTH = 50


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that a profile would lose, or why it would not start."""

    what: str
    lost: str = ""
    why: str = ""
    attempt: str = ""
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one profile can start here: full, weakened or refused."""

    profile: str
    word: str
    losses: tuple[Loss, ...] = ()


def run(given: Given) -> int:
    """Probe, judge the profiles, print; the exit status."""
    names = given.words or [item.name for item in list_profiles(caller_of_process()) if not item.shadowed]
    host = probe_in_scope(ask_for_scope)  # as `exec` does it: what is judged and proven is what it gets
    if given.has("--prove"):
        from sandboxer.cli.tables.proof import run_proofs  # it draws on this module

        return run_proofs(names, Paper.of_stdout(), as_json=given.has("--json"))
    verdicts = [judge(name, host) for name in dict.fromkeys(names)]
    abilities = find_abilities(host)
    if given.has("--json"):
        print(json.dumps(check_json(host, abilities, verdicts), indent=2))
    else:
        print("\n".join(show_check(host, abilities, verdicts, Paper.of_stdout())))
    return 0 if all(verdict.word == WHOLE for verdict in verdicts) else 1


def judge(profile: str, host: Host) -> Verdict:
    """What a profile would lose on a host: compile it as `exec` would, and read the report."""
    request = Request(profile)
    try:
        policy = resolve_request(request).policy
        plan = make_plan(request, policy, host_for(policy, host))
    except SandboxerError as error:
        return Verdict(profile, REFUSED, _unique(_from_problem(problem) for problem in error.problems))
    losses = _unique(_from_line(line) for line in plan.report.lines if line.status in (Status.WEAKENED, Status.REFUSED))
    return Verdict(profile, WEAKENED if losses else WHOLE, losses)


def _unique(losses: Iterable[Loss]) -> tuple[Loss, ...]:
    """Each thing that is lost once, although several stages of the compiler may have said it: the first one says most."""
    found: dict[tuple[str, Place | None], Loss] = {}
    for loss in losses:
        found.setdefault((loss.what, loss.place), loss)
    return tuple(found.values())


def _from_problem(problem: Problem) -> Loss:
    place = problem.where if isinstance(problem.where, Place) else None
    return Loss(problem.what, why=problem.why, attempt=problem.attempt, place=place)


def _from_line(line: Line) -> Loss:
    return Loss(f"{line.control}: {line.what}", line.lost, line.why, line.attempt, line.place)


# ── as text ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Paper:
    """What the text is written on: how wide it is, and whether it has colours. width 0: lines are not wrapped."""

    width: int = 0
    has_colour: bool = False

    @classmethod
    def of_stdout(cls) -> Paper:
        """A terminal wraps and colours; a pipe gets plain lines."""
        if not sys.stdout.isatty():
            return cls()
        columns = shutil.get_terminal_size().columns
        return cls(max(min(columns, MAX_WIDTH), MIN_WIDTH), not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")

    def word(self, word: str, width: int) -> str:
        """A word of a table's first column."""
        padded = word.ljust(width)
        colour = COLOURS.get(word, "")
        return f"\x1b[{colour}m{padded}\x1b[0m" if self.has_colour and colour else padded

    def wrap(self, text: str, indent: int) -> Iterator[str]:
        """A paragraph below its heading; never broken where the paper has no width, so that it can be searched and copied."""
        margin = " " * indent
        if not self.width or len(text) + indent <= self.width:
            yield margin + text
            return
        hanging = margin + "  "
        yield from textwrap.wrap(
            text, self.width, initial_indent=margin, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False
        )


def show_check(host: Host, abilities: tuple[Ability, ...], verdicts: list[Verdict], paper: Paper) -> Iterator[str]:
    """All lines: the machine first, then the profiles."""
    yield f"this machine: Linux {host.kernel[0]}.{host.kernel[1]}, {host.arch}"
    first = max(len(state.value) for state in State) + 2
    second = max(len(row.name) for row in abilities) + 2
    for row in abilities:
        word = "" if row.state is State.NOTE else row.state.value
        yield f"  {paper.word(word, first)}{row.name.ljust(second)}{visible(row.says)}".rstrip()
        yield from _show_words((("why", row.why), ("mend", row.mend)), 2 + first, paper)
    yield ""
    yield "profiles:" if verdicts else "profiles: none found"
    name_width = max((len(visible(verdict.profile)) for verdict in verdicts), default=0) + 2
    for verdict in verdicts:
        name = visible(verdict.profile).ljust(name_width)
        yield f"  {paper.word(verdict.word, len(WEAKENED) + 2)}{name}".rstrip()
        for loss in verdict.losses:
            where = f" ({loss.place.show()})" if loss.place else ""
            yield from paper.wrap(visible(f"{loss.what}{where}"), 6)
            yield from _show_words((("lost", loss.lost), ("why", loss.why), ("try", loss.attempt)), 8, paper)


def _show_words(pairs: tuple[tuple[str, str], ...], indent: int, paper: Paper) -> Iterator[str]:
    for word, text in pairs:
        if not text:
            continue
        line = f"{word}: {visible(text)}"
        # What is to be typed stays on one line, so that it can be copied.
        yield from [" " * indent + line] if word in COPIED else paper.wrap(line, indent)


# ── as JSON ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def check_json(host: Host, abilities: tuple[Ability, ...], verdicts: list[Verdict]) -> dict[str, object]:
    """Everything as plain data."""
    return {
        "host": {row.name: _plain(getattr(host, row.name)) for row in fields(host) if row.name != "paths"},
        "abilities": [
            {"name": row.name, "state": row.state.value, "says": row.says, "why": row.why, "mend": row.mend} for row in abilities
        ],
        "profiles": [
            {"profile": verdict.profile, "verdict": verdict.word, "losses": [_loss_json(loss) for loss in verdict.losses]}
            for verdict in verdicts
        ],
    }


def _loss_json(loss: Loss) -> dict[str, object]:
    return {"what": loss.what, "lost": loss.lost, "why": loss.why, "try": loss.attempt, "where": _place_json(loss.place)}


def _place_json(place: Place | None) -> dict[str, object] | None:
    return {"file": place.file, "line": place.line, "column": place.column} if place else None


def _plain(value: object) -> object:
    """A fact of the host as JSON has it: sets sorted, ranges as pairs."""
    match value:
        case frozenset():
            return sorted(value)
        case tuple():
            return [_plain(item) for item in value]
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case str() | int() | None:
            return value
        case _:
            return {row.name: _plain(getattr(value, row.name)) for row in fields(value)}  # type: ignore[arg-type]
