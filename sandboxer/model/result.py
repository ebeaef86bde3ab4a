"""How a run ended and what it used. Built from the monitor's record; nothing in it is guessed."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from sandboxer.model.outcome.files import Collected
from sandboxer.model.place import Place
from sandboxer.model.report import Report


class Reason(Enum):
    """Why the command ended. One word for each, and no two share an exit status and a word."""

    EXITED = "exited"
    SIGNALLED = "signalled"
    WALL_TIMEOUT = "wall_timeout"
    CPU_TIMEOUT = "cpu_timeout"
    IDLE_TIMEOUT = "idle_timeout"
    OOM = "oom"
    PIDS_LIMIT = "pids_limit"
    FILE_LIMIT = "file_limit"
    DISK_QUOTA = "disk_quota"
    OUTPUT_LIMIT = "output_limit"
    SECCOMP_KILL = "seccomp_kill"
    CANCELLED = "cancelled"
    SUPERVISOR_LOST = "supervisor_lost"
    LAUNCHER_LOST = "launcher_lost"
    NOT_FOUND = "not_found"
    NOT_EXECUTABLE = "not_executable"
    SETUP_FAILED = "setup_failed"


@dataclass(frozen=True, slots=True)
class Usage:
    """What the box used; times are microseconds. Source: getrusage(2), for those of which the box waited; cgroups(7).

    max_rss_bytes: of the largest process. From memory_peak_bytes on: of the whole box, where a limit gave it a control group that
    counts that; None elsewhere. pids_refused: how often one more process was too many. throttled_us: how long it waited because
    of `cpus`, in throttled_periods of 100 ms. group_cpu_us: CPU time of everything that was ever in the box.
    disk_bytes: what its own file systems held when it ended: each tmpfs, each overlay whose changes are discarded, /dev/shm.
    """

    wall_us: int = 0
    user_us: int = 0
    system_us: int = 0
    max_rss_bytes: int = 0
    minor_faults: int = 0
    major_faults: int = 0
    voluntary_switches: int = 0
    involuntary_switches: int = 0
    blocks_in: int = 0
    blocks_out: int = 0
    memory_peak_bytes: int | None = None
    oom_kills: int | None = None
    pids_peak: int | None = None
    pids_refused: int | None = None
    throttled_us: int | None = None
    throttled_periods: int | None = None
    io_read_bytes: int | None = None
    io_write_bytes: int | None = None
    group_cpu_us: int | None = None
    disk_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Timings:
    """Microseconds of each phase: launcher start to clone, clone to execve, the command, what was left, the after list."""

    prepare_us: int = 0
    setup_us: int = 0
    command_us: int = 0
    end_us: int = 0
    clean_us: int = 0


class Risk(Enum):
    """How dangerous it is to allow a call to a program that nobody trusts."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class DenialArgument:
    """One argument of a refused call: its name, the whole register, and what it means for people.

    The text may hold what the job wrote into its memory. It is escaped and bounded, and it may be a lie.
    """

    name: str
    value: int
    text: str


@dataclass(frozen=True, slots=True)
class Denial:
    """A system call that the policy refused: what was called, why that was refused, and what would allow it.

    answer: the name of the errno, or `killed`. count: how often this use was refused. is_rest: this stands for all further uses
    of the call, and has the arguments of the first of them. pid, process: the first caller, as the host numbers it and as it
    calls itself. rule, place: what refused it. patch: YAML for a profile that builds on this one, empty where none can allow it;
    attempt: what to do with it. group: the smallest policy that would allow it too, with what else that would allow.
    """

    call: str
    number: int
    arch: str
    arguments: tuple[DenialArgument, ...]
    count: int
    is_rest: bool
    pid: int
    process: str
    answer: str
    rule: str
    place: Place | None
    patch: str
    attempt: str
    group: str
    group_calls: tuple[str, ...]
    risk: Risk
    risk_why: str

    @property
    def words(self) -> str:
        """The call as it is written in C."""
        if self.is_rest:
            return f"{self.call}(...)"
        return f"{self.call}({', '.join(f'{item.name}={item.text}' if item.name else item.text for item in self.arguments)})"


@dataclass(frozen=True, slots=True)
class WallDenial:
    """What is told of everything that a wall refused which is not the filter: a domain of Landlock, or a label.

    thing: what was wanted, for people: a quoted path as the box sees it, a port, the name of a socket or a process; escaped and
    bounded, and chosen by the job. path: the path as it is, empty where it is not about one, or not a text. count, is_rest: as in
    `Denial`. pid, process: the first caller, 0 and empty where the log did not tell. section: of the profile, that would have to
    allow it; place: the rule that is nearest to it. rule, patch, attempt, risk, risk_why: as in `Denial`.
    """

    thing: str
    path: str
    count: int
    is_rest: bool
    pid: int
    process: str
    rule: str
    section: str
    place: Place | None
    patch: str
    attempt: str
    risk: Risk
    risk_why: str


@dataclass(frozen=True, slots=True)
class LandlockDenial(WallDenial):
    """Something that Landlock refused: which rights were missing for what, why, and what would allow it.

    rights: as the kernel names them, `fs.write_file`. thing: `port 80` where it is about one; port: its number.
    """

    rights: tuple[str, ...]
    port: int | None

    @property
    def words(self) -> str:
        """The rights and what they were wanted for."""
        return f"{' '.join(self.rights)}{'' if self.is_rest or not self.thing else f': {self.thing}'}"


@dataclass(frozen=True, slots=True)
class LandlockDenials:
    """What Landlock refused in a run, as the kernel's audit log told it, in the order in which each came first.

    others: refusals that are only counted. unheard: why nobody could hear of them; empty: they were heard. losses: what may be
    missing, in sentences; empty: nothing is.
    """

    rows: tuple[LandlockDenial, ...] = ()
    others: int = 0
    unheard: str = ""
    losses: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many refusals are known."""
        return self.others + sum(row.count for row in self.rows)


@dataclass(frozen=True, slots=True)
class LabelDenial(WallDenial):
    """Something that the box's label refused: what was tried, why it was refused, and what would allow it.

    operation: what was tried, as the security module calls it: for AppArmor `open`, `capable`; for SELinux the class of what was
    wanted, `file`, `tcp_socket`. wanted: what was missing for it: AppArmor's letters for files, words elsewhere, or permissions
    of SELinux. is_refused: it was; else the label only complains, or SELinux is permissive, and it happened. target: the context
    of what was wanted; empty for AppArmor.
    """

    operation: str
    wanted: str
    is_refused: bool
    target: str = ""

    @property
    def words(self) -> str:
        """What was tried, and what it was wanted for."""
        tried = f"{self.operation} ({self.wanted})" if self.wanted else self.operation
        return tried + (f": {self.thing}" if self.thing and not self.is_rest else "")


@dataclass(frozen=True, slots=True)
class LabelDenials:
    """What a label refused in a run, as the kernel's audit log told it, in the order in which each came first.

    label: the name of an AppArmor profile, or the domain of SELinux. The rest is as in `LandlockDenials`.
    """

    label: str
    rows: tuple[LabelDenial, ...] = ()
    others: int = 0
    unheard: str = ""
    losses: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How often something is known that was refused, or would have been."""
        return self.others + sum(row.count for row in self.rows)


@dataclass(frozen=True, slots=True)
class Denials:
    """What a run was refused, in the order in which each came first. others: refused calls that are only counted.

    landlock: the same of what Landlock refused; None where the box has no Landlock. apparmor, selinux: of what its AppArmor
    profile and its SELinux domain refused; None where it has none. patch: the patches of all rows in one, each line with its
    risk, but for calls that answer ENOSYS; attempt: what to do with it.
    """

    rows: tuple[Denial, ...] = ()
    others: int = 0
    patch: str = ""
    attempt: str = ""
    landlock: LandlockDenials | None = None
    apparmor: LabelDenials | None = None
    selinux: LabelDenials | None = None

    @property
    def count(self) -> int:
        """How many calls were refused in all."""
        return self.others + sum(row.count for row in self.rows)


@dataclass(frozen=True, slots=True)
class Result:
    """The truth about one run.

    stdout, stderr: what the command wrote, where the caller asked for it; None elsewhere. They are whole unless the reason is
    OUTPUT_LIMIT. denials: what was refused, where the caller asked for that (`explain`); None elsewhere. files: what was read
    back of the run's own directory, where the caller asked for that (`collect`); None elsewhere.
    """

    profile: str
    argv: tuple[str, ...]
    reason: Reason
    exit_code: int | None
    signal: int | None
    core_dumped: bool
    usage: Usage
    timings: Timings
    report: Report = field(repr=False)
    digest: str
    detail: str = ""
    stdout: bytes | None = None
    stderr: bytes | None = None
    denials: Denials | None = None
    files: Collected | None = None

    def check(self) -> Result:
        """This result, if the command exited with 0.

        Raises: what kind of end it was else, with this result in `result`: SandboxTimeout (a TimeoutError), MemoryLimit (a
        MemoryError), ViolationError (a PermissionError), OutputLimit, ProcessDied, all of them ExecutionError; SetupError where
        nothing of the command ran.
        """
        from sandboxer.model.outcome.ending import find_error

        error = find_error(self)
        if error is not None:
            raise error
        return self

    @property
    def status(self) -> int:
        """The exit status that `sandboxer exec` returns for this result."""
        if self.exit_code is not None:
            return self.exit_code
        match self.reason:
            case Reason.WALL_TIMEOUT | Reason.IDLE_TIMEOUT:
                return 124
            case Reason.NOT_EXECUTABLE:
                return 126
            case Reason.NOT_FOUND:
                return 127
            case Reason.SETUP_FAILED | Reason.LAUNCHER_LOST:
                return 125
            case _:
                return 128 + (self.signal or 9)
