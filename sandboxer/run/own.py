"""What the next run believes stays out of every box's reach: sandboxer itself, the files of this run, configuration, plans.

A job that may write to its project must not choose the policy of the run that follows. So whatever of these lies in what a policy
lets it write is read-only there, with no word in the profile; and what cannot be kept so refuses the start.
"""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from sandboxer.compile.cache import cache_path
from sandboxer.compile.resolve import Resolved
from sandboxer.compile.search import Origin, caller_of_process, search_paths, shipped_directory
from sandboxer.controls.filesystem.settings import Placed, Settings
from sandboxer.controls.paths import covers
from sandboxer.errors import Problem, ProfileError
from sandboxer.kernel.paths import find_facts
from sandboxer.model.host import PathKind
from sandboxer.model.place import Place, built_in
from sandboxer.model.policy import Policy

PLACE = built_in("what sandboxer itself relies on stays read-only")


@dataclass(frozen=True, slots=True)
class Own:
    """A path of ours. is_wide: more than ours lies there, so a grant below it is nobody's mistake."""

    path: str
    what: str
    is_wide: bool = False


def own_paths(resolved: Resolved) -> Iterator[Own]:
    """Every path whose content decides what the next run does."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    yield Own(package, "sandboxer's program")
    for kind in ("profiles", "policies"):
        yield Own(os.path.join(shipped_directory(), kind), f"sandboxer's {kind}")
    if os.path.basename(os.path.dirname(package)) in ("site-packages", "dist-packages"):
        yield Own(os.path.dirname(package), "the modules that sandboxer loads", is_wide=True)
    for prefix in dict.fromkeys((sys.prefix, sys.base_prefix)):
        yield Own(os.path.abspath(prefix), "the Python that runs sandboxer", is_wide=True)
    for looked in resolved.trail:
        if looked.is_found:
            yield Own(looked.path, "a file of this profile")
    for root in search_paths(caller_of_process()).roots:
        if root.origin in (Origin.USER, Origin.SYSTEM):
            yield Own(root.path, "sandboxer's configuration")
    plans = cache_path(dict(os.environb))
    if plans:
        yield Own(plans, "sandboxer's plans")


def keep_own(resolved: Resolved) -> Policy:
    """The policy with our own paths read-only. Raises: ProfileError for one that is missing there, or behind a link."""
    policy = resolved.policy
    settings = policy.settings["filesystem"]
    if not isinstance(settings, Settings):
        return policy
    home = os.path.realpath(caller_of_process().home)
    granted = {os.path.realpath(path): place for path, place in _writable(settings)}
    # The room refuses a grant that holds the whole home, and says why better than we could.
    writable = {path: place for path, place in granted.items() if not covers(path, home)}
    found: dict[str, None] = {}
    problems = list(_login_home(writable))
    for own in own_paths(resolved) if writable else ():
        real = os.path.realpath(own.path)
        for grant, place in writable.items():
            if problem := _exposure(own, grant, place):
                problems.append(problem)
            elif covers(grant, real) or (covers(real, grant) and not own.is_wide):
                found[real] = None
    if problems:
        raise ProfileError(tuple(dict.fromkeys(problems)))
    if not found:
        return policy
    frozen = (*settings.read_only, *(Placed(path, PLACE) for path in _outermost(found, writable)))
    return replace(policy, settings={**policy.settings, "filesystem": replace(settings, read_only=frozen)})


def _outermost(paths: Iterable[str], writable: Iterable[str]) -> list[str]:
    """Those that no other of them keeps already: a mount less for each box. One in which something is granted keeps nothing."""
    whole = [path for path in paths if not any(covers(path, grant) for grant in writable)]
    return [path for path in paths if not any(one != path and covers(one, path) for one in whole)]


def _writable(settings: Settings) -> Iterable[tuple[str, Place]]:
    yield from ((item.value.path, item.place) for item in settings.write)
    yield from ((item.value.source, item.place) for item in settings.mounts if "write" in item.value.access)


def _login_home(writable: Mapping[str, Place]) -> Iterator[Problem]:
    """Grants that hold the home that the caller logs in to, where HOME says another one: sudo and pipelines do that."""
    try:
        login = os.path.realpath(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return
    for grant, place in writable.items():
        if login != "/" and covers(grant, login):
            yield Problem(
                f"{grant} cannot be granted for writing: it holds {login}, the home directory of the caller's account",
                where=place,
                why=f"HOME is {os.environ.get('HOME', '')}, but what lies in {login} is obeyed at the next login",
                attempt="a directory below it; run in the directory of the project",
            )


def _exposure(own: Own, grant: str, place: Place) -> Problem | None:
    """Why a read-only mount would not keep this path as it is: a job makes what is missing, and replaces a link."""
    facts = find_facts((own.path,))
    real = os.path.realpath(own.path)
    link = next((path for path, fact in facts.items() if fact.kind is PathKind.SYMLINK and covers(grant, path)), "")
    if link:
        return Problem(
            f"{grant} cannot be granted for writing: {own.what}, {own.path}, lies behind the link {link}",
            where=place,
            why="the job could put another link there, and choose what the next run does",
            attempt="a directory in place of the link, or run in a directory below",
        )
    if covers(grant, real) and not os.path.lexists(real):
        return Problem(
            f"{grant} cannot be granted for writing: {own.what} would lie in {own.path}, which is not there yet",
            where=place,
            why="the job could make it, and choose what the next run does",
            attempt=f"mkdir -p -m 700 {own.path}",
        )
    return None
