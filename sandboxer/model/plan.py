"""A plan: three flat lists of ops for one host, the recipe of the command's environment, and the report."""

from __future__ import annotations

from dataclasses import dataclass

from sandboxer.model.op import Op
from sandboxer.model.place import Place
from sandboxer.model.report import Report
from sandboxer.model.stage import Stage


@dataclass(frozen=True, slots=True)
class Step:
    """One op, where it comes from and when it runs."""

    op: Op
    stage: Stage
    control: str
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the command's environment is made from the caller's: these names pass, then these are set.

    passed: exact names, or a prefix that ends in `*`; see environment.py for the other forms.
    terminal: the command gets a pseudo-terminal (`-t`).
    """

    passed: tuple[str, ...] = ()
    set: tuple[tuple[str, str], ...] = ()
    terminal: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What the launcher will do, and what that enforces. `profile` is the name for people.

    is_in_place: there is no box; the process that runs the plan becomes what it confines.
    """

    profile: str
    before: tuple[Step, ...]
    inside: tuple[Step, ...]
    after: tuple[Step, ...]
    recipe: Recipe
    report: Report
    is_in_place: bool = False
