"""Process attributes and capability sets of this very process, read and set through python-prctl.

Everything here is about the supervisor (the Python side). What the job may do is set by the launcher. Never imported on the warm
path: python-prctl costs three milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import prctl

from sandboxer.kernel.proc import find_text, parse_status

NAME_LIMIT = 15  # sched.h, TASK_COMM_LEN less the NUL


@dataclass(frozen=True, slots=True)
class CapabilitySets:
    """The five sets of a process as bit masks: bit n is capability n. capabilities(7)."""

    effective: int = 0
    permitted: int = 0
    inheritable: int = 0
    bounding: int = 0
    ambient: int = 0


@dataclass(frozen=True, slots=True)
class Attributes:
    """What the kernel keeps about the process. `death_signal` 0: it outlives its parent. PR_GET_*(2const)."""

    name: str
    is_dumpable: bool
    no_new_privs: bool
    death_signal: int
    securebits: int


def read_capability_sets(status_text: str | None = None) -> CapabilitySets:
    """The capability sets of this process.

    python-prctl names the capabilities that it was built with; the ones that are newer come from `status_text` (None:
    /proc/self/status), as does the ambient set, which it has no call for.
    """
    status = parse_status(find_text("/proc/self/status") or "" if status_text is None else status_text)
    known = tuple(prctl.ALL_CAPS)
    beyond = ~_mask(known)
    found = prctl.get_caps((known, (prctl.CAP_EFFECTIVE, prctl.CAP_PERMITTED, prctl.CAP_INHERITABLE)))
    bounding = [number for number in known if _is_bounding(number)]
    return CapabilitySets(
        effective=_held(found[prctl.CAP_EFFECTIVE]) | _status_mask(status, "CapEff") & beyond,
        permitted=_held(found[prctl.CAP_PERMITTED]) | _status_mask(status, "CapPrm") & beyond,
        inheritable=_held(found[prctl.CAP_INHERITABLE]) | _status_mask(status, "CapInh") & beyond,
        bounding=_mask(bounding) | _status_mask(status, "CapBnd") & beyond,
        ambient=_status_mask(status, "CapAmb"),
    )


def read_attributes() -> Attributes:
    """The attributes of this process."""
    return Attributes(
        name=prctl.get_name(),
        is_dumpable=prctl.get_dumpable() == 1,
        no_new_privs=bool(prctl.get_no_new_privs()),
        death_signal=prctl.get_pdeathsig(),
        securebits=prctl.get_securebits(),
    )


def harden_supervisor(name: str = "sandboxer", *, is_dumpable: bool = False, death_signal: int = 0) -> None:
    """Name the process, and keep others of its user from tracing it, reading its memory or making it dump core.

    An execve of a readable program undoes the dumpable part, so children are not touched by it. The box has other ids or its own
    pid namespace already; this is the second wall, for a job that shares the caller's pid namespace and uid.
    death_signal: sent when the thread that started this process ends; 0: none.
    Source: PR_SET_DUMPABLE(2const), PR_SET_PDEATHSIG(2const), ptrace(2) `Ptrace access mode checking`.
    """
    prctl.set_name(name[:NAME_LIMIT])
    prctl.set_dumpable(1 if is_dumpable else 0)
    if death_signal:
        prctl.set_pdeathsig(death_signal)


def _is_bounding(number: int) -> bool:
    try:
        return bool(prctl.capbset_read(number))
    except OSError:  # EINVAL: the kernel is older than the header and does not know this capability
        return False


def _mask(numbers: tuple[int, ...] | list[int]) -> int:
    mask = 0
    for number in numbers:
        mask |= 1 << number
    return mask


def _held(found: dict[int, bool]) -> int:
    return _mask([number for number, is_held in found.items() if is_held])


def _status_mask(status: dict[str, str], field: str) -> int:
    return int(status.get(field, "0"), 16)
