"""What a live test needs of the machine: `@needs("userns", "landlock>=4")`. Unmet, it is skipped; CI fails instead.

SANDBOXER_NO_SKIP=1 makes it fail. SANDBOXER_MAY_LACK names, with commas, what is then skipped all the same: an older kernel in
the test VM lacks what is known.
"""

from __future__ import annotations

import functools
import operator
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest

from sandboxer.kernel.probe import probe
from sandboxer.model.host import Host

Test = TypeVar("Test", bound=Callable[..., Any])
_NUMBER = re.compile(r"(\w+)(>=|>|==)(\d+(?:\.\d+)?)")
_COMPARE = {">=": operator.ge, ">": operator.gt, "==": operator.eq}

FACTS: dict[str, Callable[[Host], bool]] = {
    "root": lambda host: host.is_privileged,
    "every id": lambda _: Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"],
    "userns": lambda host: not host.user_namespace_problem,
    "overlay": lambda host: host.has_overlay,
    "idmap": lambda host: host.has_idmapped_mounts,
    "device programs": lambda host: not host.device_program_problem,
    "group of memory": lambda host: host.hierarchy_of("memory") is not None,
    "group of pids": lambda host: host.hierarchy_of("pids") is not None,
    "group of cpu": lambda host: host.hierarchy_of("cpu") is not None,
    "group of cpuset": lambda host: host.hierarchy_of("cpuset") is not None,
    "group of io": lambda host: (host.hierarchy_of("io") or host.hierarchy_of("blkio")) is not None,
    "a disk scheduler bfq": lambda _: any("bfq" in path.read_text() for path in Path("/sys/block").glob("*/queue/scheduler")),
    "group of hugetlb": lambda host: host.hierarchy_of("hugetlb") is not None and bool(host.huge_pages),
    "group that counts": lambda host: bool(host.hierarchies),
    "v2 groups": lambda host: host.is_privileged and any(tree.is_v2 for tree in host.hierarchies),
    "v1 groups": lambda host: host.is_privileged and any(not tree.is_v2 for tree in host.hierarchies),
    "proc": lambda host: host.has_fresh_proc,
    "newuidmap": lambda host: bool(host.newuidmap and host.newgidmap),
    "x86_64": lambda host: host.arch == "x86_64",
    "timens": lambda host: "time" in host.namespaces,
}
NUMBERS: dict[str, Callable[[Host], float]] = {
    "landlock": lambda host: host.landlock_abi,
    "kernel": lambda host: host.kernel[0] + host.kernel[1] / 1000,
}


@functools.cache
def this_host() -> Host:
    """The facts of this machine, probed once."""
    return probe()


def no_network() -> str:
    """What a TCP connection of a box without a network answers: Landlock is asked ahead of the routes."""
    return "EACCES" if this_host().landlock_abi >= 4 else "ENETUNREACH"


def unmet(needs: tuple[str, ...], host: Host) -> list[str]:
    """The needs that the host does not meet. Raises: KeyError for a need that nobody knows."""
    return [need for need in needs if not _is_met(need, host)]


def needs(*wanted: str) -> Callable[[Test], Test]:
    """Run the test only where the machine gives all of these; see FACTS and NUMBERS."""

    def decorate(test: Test) -> Test:
        missing = unmet(wanted, this_host())
        if not missing:
            return test
        reason = f"this machine lacks: {', '.join(missing)}"
        if os.environ.get("SANDBOXER_NO_SKIP") != "1" or set(missing) <= may_lack():
            return pytest.mark.skip(reason=reason)(test)

        @functools.wraps(test)
        def refuse(*_: object, **__: object) -> None:
            give_up(reason)

        return refuse  # type: ignore[return-value]

    return decorate


def may_lack() -> set[str]:
    """The needs that this machine is known not to meet."""
    return set(os.environ.get("SANDBOXER_MAY_LACK", "").split(","))


def give_up(reason: str) -> NoReturn:
    """End the running test for want of something that only a look at the machine can tell: a skip, or a failure in CI."""
    if os.environ.get("SANDBOXER_NO_SKIP") == "1":
        pytest.fail(f"{reason} (SANDBOXER_NO_SKIP is set)")
    pytest.skip(reason)


def _is_met(need: str, host: Host) -> bool:
    match = _NUMBER.fullmatch(need)
    if not match:
        return FACTS[need](host)
    name, sign, number = match.groups()
    wanted = float(number)
    if name == "kernel":
        major, _, minor = number.partition(".")
        wanted = int(major) + int(minor or 0) / 1000
    return bool(_COMPARE[sign](NUMBERS[name](host), wanted))
