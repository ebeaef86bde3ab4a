"""Ranges of spare ids: which of /etc/subuid and /etc/subgid can be used, and the map that they make."""

from __future__ import annotations

from sandboxer.controls.ids.settings import RANGE, Settings, identity
from sandboxer.model.host import Host, IdRange


def range_problem(mine: Settings, host: Host) -> str:
    """Why this user can map no range; empty where one can be mapped."""
    if not host.is_privileged and not (host.newuidmap and host.newgidmap):
        return "newuidmap and newgidmap are not installed, and only they may map more than the caller's own id"
    who = identity(mine, host)
    for file, ranges, outside, inside in (
        ("/etc/subuid", host.subuids, who.outside_uid, mine.user),
        ("/etc/subgid", host.subgids, who.outside_gid, mine.group),
    ):
        found = _usable(ranges, outside)
        if found is None or found.count < inside:
            return f"{file} gives {host.user} no range of ids{f' with {inside} of them' if found else ''}"
    return ""


def range_advice(host: Host) -> str:
    """The one command that gives this user a range."""
    needs_helpers = not host.is_privileged and not (host.newuidmap and host.newgidmap)
    install = "apt install uidmap && " if needs_helpers else ""
    return f"sudo sh -c '{install}usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {host.user}'"


def _usable(ranges: tuple[IdRange, ...], outside: int) -> IdRange | None:
    """The largest range without the id that is mapped by itself; the kernel refuses to map an id twice."""
    apart = [one for one in ranges if one.count and not one.start <= outside < one.start + one.count]
    return max(apart, key=lambda one: one.count, default=None)


def range_map(inside: int, outside: int, ranges: tuple[IdRange, ...]) -> tuple[tuple[int, int, int], ...]:
    """Lines of a uid_map: `inside` stands for `outside`, and the ids around it, from 0 on, for those of the largest range."""
    spare = _usable(ranges, outside)
    if spare is None:
        return ((inside, outside, 1),)
    count = min(spare.count, RANGE - 1)
    rows = ((0, spare.start, inside), (inside, outside, 1), (inside + 1, spare.start + inside, count - inside))
    return tuple(row for row in rows if row[2] > 0)
