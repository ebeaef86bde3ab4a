"""The walls in words: for the report, for `explain`, and for what a host lacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sandboxer.abi.landlock import BY_NAME, KERNELS, LOG_ABI, RIGHTS, Kind
from sandboxer.controls.landlock.meaning import ALL, NAME, OF_KIND, USABLE_ABI, Settings, Wall
from sandboxer.controls.room import Lack
from sandboxer.model.host import Host
from sandboxer.model.report import Line, Status


def listed(names: Iterable[str]) -> str:
    """Rights in the order of the table; `nothing` where there are none."""
    wanted = set(names)
    return " ".join(right.name for right in RIGHTS if right.name in wanted) or "nothing"


def since(name: str) -> str:
    """Which kernel brought a right."""
    abi = BY_NAME[name].abi
    return f"ABI {abi} (Linux {KERNELS[abi]})"


def _ports(ports: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(ports))) or "none"


def obstacle(host: Host) -> tuple[str, str]:
    """Why Landlock cannot be used on a host, and what to try."""
    if host.landlock_abi:
        why = f"this kernel has ABI {host.landlock_abi}, under which no file can be moved to another directory"
        return why, f"Linux {KERNELS[USABLE_ABI]} or newer"
    return host.landlock_problem or "the kernel has no Landlock", host.landlock_mend or "sandboxer check"


def wall_line(wall: Wall, names: frozenset[str], paths: int, host: Host) -> Line:
    """What one domain enforces."""
    said = []
    if files := names & OF_KIND[Kind.FILESYSTEM]:
        said.append(f"{len(files)} rights on files by {paths} rules")
    for right in (right for right in RIGHTS if right.kind is Kind.NETWORK and right.name in names):
        said.append(f"{right.name}: {_ports(wall.ports.get(right.name, frozenset()))}")
    if scopes := names & OF_KIND[Kind.SCOPE]:
        said.append(f"scoped: {listed(scopes)}")
    return Line(NAME, Status.ENFORCED, f"{wall.name}: {'; '.join(said)} (ABI {host.landlock_abi})", place=wall.place)


def missing_lines(settings: Settings, lost: Mapping[str, str]) -> Iterator[Line]:
    """Rights that are newer than the host's Landlock: one line for each that opens something, one for all others.

    Those that the section asks for were told as a lack.
    """
    for name, loss in lost.items():
        if loss:
            yield Line(NAME, Status.WEAKENED, f"{name} is not handled", loss, f"it came with {since(name)}", "a newer kernel")
    others = [name for name, loss in lost.items() if not loss and BY_NAME[name].abi > settings.least_abi]
    if others:
        what = ", ".join(f"{name} {since(name)}" for name in others)
        yield Line(NAME, Status.UNUSED, f"newer than this kernel's Landlock, and not handled: {what}")


def port_lacks(settings: Settings, host: Host) -> Iterator[Lack]:
    """Lists of ports that are newer than the host's Landlock, where nothing else holds a network that the profile gives."""
    for right in sorted({right for wall in settings.walls for right in wall.ports}):
        if host.landlock_abi < BY_NAME[right].abi:
            why = f"{right} came with {since(right)}"
            yield Lack(f"a list of ports for {right}", why, "a newer kernel", "all ports are open", settings.places.get(right))


def log_lines(settings: Settings, host: Host, *, is_heard: bool = False) -> Iterator[Line]:
    """Where a log is wanted that the host does not keep, or kept that the profile does not ask for."""
    if is_heard and not settings.walls[0].log:
        what = "what the wall refuses is written to the audit log of this machine, because the run is watched"
        yield Line(NAME, Status.ENFORCED, what)
    if settings.walls[0].log and host.landlock_abi < LOG_ABI:
        what = f"what the wall refuses is not logged: Landlock logs since Linux {KERNELS[LOG_ABI]}"
        yield Line(NAME, Status.UNUSED, what, place=settings.places.get("log"))


def sentences(settings: Settings) -> tuple[str, ...]:
    """What the section means."""
    own = settings.walls[0]
    if settings.is_empty:
        return ("Landlock adds no second wall.",)
    found = [f"What the other sections grant of files is granted a second time, in Landlock (ABI {settings.least_abi} or newer)."]
    if own.wanted >= OF_KIND[Kind.FILESYSTEM]:
        found.append("So a mistake with a mount alone opens nothing but names; and nothing can be mounted inside.")
    if own.wanted >= OF_KIND[Kind.SCOPE]:
        found.append("It signals nobody and reaches no abstract socket outside of the box.")
    if own.unhandled:
        found.append(f"Left alone: {listed(own.unhandled)}.")
    for wall in settings.walls:
        of = "" if wall is own else f" under {wall.name}"
        found += [f"{right}{of}: {_ports(ports)}." for right, ports in sorted(wall.ports.items())]
        if wall is not own and wall.wanted - frozenset(wall.ports):
            found.append(f"A further wall, {wall.name}, handles: {listed(wall.wanted)}.")
    return tuple(found)


def _allowed(settings: Settings, right: str) -> frozenset[int] | None:
    """The ports that all walls leave of a right; None where none of them has a list."""
    lists = [wall.ports[right] for wall in settings.walls if right in wall.ports]
    return frozenset.intersection(*lists) if lists else None


def widened(old: Settings, new: Settings) -> tuple[str, ...]:
    """What `new` allows that `old` does not."""
    before, after = (frozenset[str]().union(*(wall.wanted for wall in one.walls)) for one in (old, new))
    found = [f"{NAME}.unhandled: {name}" for name in sorted((before - after) & ALL)]
    for right in ("bind_tcp", "connect_tcp"):
        was, now = _allowed(old, right), _allowed(new, right)
        if was is not None and now is None:
            found.append(f"{NAME}.{right}: all ports")
        elif was is not None and now is not None and now - was:
            found.append(f"{NAME}.{right}: {_ports(now - was)}")
    if new.least_abi < old.least_abi:
        found.append(f"{NAME}.least_abi: {new.least_abi}")
    return tuple(found)
