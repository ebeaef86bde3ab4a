"""`sandboxer exec`: run a command under a profile. The warm path: whatever is heavy is imported where it is needed."""

from __future__ import annotations

import os
import sys

from sandboxer.cli.options import Given, Option, UsageError
from sandboxer.launcher.spawn import FORWARDED, FORWARDED_WITH_STOP
from sandboxer.run.request import Request, RequestError, make_command
from sandboxer.run.warm import find_entry, launch_entry, open_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxer.compile.cache import Entry
    from sandboxer.errors import Problem, SandboxerError
    from sandboxer.learn.explained import Explained
    from sandboxer.model.result import Reason, Result
    from sandboxer.run.about import About
    from sandboxer.run.request import Command

NAME = "exec"
SUMMARY = "Run a command under a profile"
USAGE = "[--profile NAME] [options] -- CMD [ARGUMENT...]"
OPTIONS = (
    Option("--profile", "NAME", short="-p", help="the profile, by name or by path (default: default)"),
    Option("--read", "PATH", repeatable=True, help="let the command read PATH, where the profile allows that"),
    Option("--write", "PATH", repeatable=True, help="let the command write PATH, where the profile allows that"),
    Option("--env", "NAME[=VALUE]", short="-e", repeatable=True, help="pass a variable on, or set it"),
    Option("--timeout", "TIME", help="end the command after TIME (10s, 5m, 1h); never longer than the profile allows"),
    Option("--memory", "SIZE", help="let the box have this much memory (128M, 2G); never more than the profile allows"),
    Option("--network", "MODE", help="none, loopback or host, where the profile allows that"),
    Option("--set", "KEY=VALUE", repeatable=True, help="give a parameter of the profile a value"),
    Option("--fd", "N", repeatable=True, help="let the command have descriptor N, where the profile allows that"),
    Option("--workdir", "DIR", short="-w", help="start the command in this directory of the box"),
    Option("--tty", short="-t", help="give the command a terminal of its own"),
    Option("--report", "FILE", help="when it has ended, write the truth about the run as JSON to FILE (-: standard output)"),
    Option("--usage", help="when it has ended, tell on one line of standard error what the box used"),
    Option("--json", help="in place of our messages, write that JSON to standard error, on one line"),
    Option("--explain", help="tell what was refused, by which rule, and what would allow it at what risk"),
    Option("--in-place", help="without a box: confine the process that becomes the command, by what needs no namespace"),
    Option("--weaken", help="with --in-place: go on without what the profile requires and cannot be kept so"),
    Option("--no-cache", help="compile the profile anew, and keep nothing"),
    Option("--verbose", short="-v", help="tell on standard error how each part of the profile is enforced"),
    Option("--quiet", short="-q", help="keep notes to ourselves; errors are still told"),
)
NOTES = """
Standard input and output are the command's own. Options can only widen a profile where its `options:` section allows it.
Ctrl-Z stops the whole box until `fg` or `bg`, but not its wall clock; with --tty the key is the command's.
In the background the command still reads the terminal where that is one of its streams: redirect all three.

With --explain every refused system call is answered by this process, which says what the profile says. It costs nothing
for calls that are allowed, and less than strace for those that are not; the profile is compiled anew. What Landlock refuses
is told too where the kernel records it and we may read that: Linux 6.15, auditing on (audit=1 or an audit daemon), and root.
The machine's audit log gets those records then; elsewhere the last line says why they are missing. What a label of AppArmor
or SELinux refused, or recorded without refusing, is told to root too. Refusals by mounts, file modes, capabilities and limits
are not seen. The same is under `denials` in --report and --json.

With --in-place there is no box and no monitor: this process drops its capabilities, enters a Landlock domain, loads the filters
and becomes the command. What only namespaces, mounts and control groups can keep is refused, unless its section says
`enforce: best_effort` or --weaken is given; -v tells all of it.

exit status:
  the command's own, if it ended by itself
  128+N    signal N ended it
  124      it ran into the wall clock limit
  125      sandboxer refused or failed before the command began
  126      the command was found but cannot be executed
  127      the command was not found
  2        the command line is wrong
A command can return these numbers too; --report and --json tell them apart.
"""
PLAN_FLAGS = ("--read", "--write", "--env", "--timeout", "--memory", "--network", "--set", "--fd")
REFUSED = 125
NEEDS_MONITOR = {
    "--timeout": "nobody stays behind to hold the clock",
    "--report": "nobody stays behind to tell how it ended",
    "--json": "nobody stays behind to tell how it ended",
    "--usage": "nobody stays behind to count",
    "--explain": "nobody stays behind to answer refused calls",
    "--tty": "nobody stays behind to pass on what is typed and shown",
}
ELOOP, ENXIO = 40, 6


def run(given: Given) -> int:
    """Find or compile the plan, start it, wait, tell what there is to tell; the exit status."""
    argv = read_command(given)
    request = read_request(given)
    check_in_place(given)
    telling = Telling(given, argv, request.profile)
    try:
        if given.has("--in-place"):
            return run_in_place(request, argv, telling, may_weaken=given.has("--weaken"))
        telling.open_report()
        return run_request(request, argv, telling, is_cached=not given.has("--no-cache"))
    except Exception as error:
        from sandboxer.cli.messages import as_sandboxer_error

        known = as_sandboxer_error(error)
        if known is None:
            raise
        return telling.refused(known)


def read_command(given: Given) -> list[str]:
    """The words of the command. Raises: UsageError if there are none, or if it is unclear where they begin."""
    if given.has_separator and not given.command:
        raise UsageError("there is no command after `--`", "sandboxer exec -- CMD [ARGUMENT...]")
    if given.command:
        return given.command
    if not given.words:
        raise UsageError("there is no command", "sandboxer exec [options] -- CMD [ARGUMENT...]")
    if "--" in given.words:
        raise UsageError(
            f"it is unclear whether {given.words[0]!r} is the command: it stands before `--`",
            f"sandboxer exec -p {given.words[0]} -- CMD, or put `--` before the command",
        )
    return given.words


def read_request(given: Given) -> Request:
    """What goes into the plan. Raises: UsageError for values that cannot be read."""
    for value in given.all("--set"):
        if not value.partition("=")[1]:
            raise UsageError(f"--set {value} has no value", "write --set KEY=VALUE")
    for value in given.all("--fd"):
        if not value.isascii() or not value.isdigit() or int(value) < 3:
            raise UsageError(f"--fd {value} is not a descriptor above 2", "0, 1 and 2 are always the command's")
    options = [pair for pair in given.options if pair[0] in PLAN_FLAGS]
    return Request(
        given.one("--profile", "default"),
        options=options,
        is_terminal=given.has("--tty"),
        directory=given.one("--workdir"),
        is_watched=given.has("--explain"),
    )


def run_request(request: Request, argv: list[str], telling: Telling, *, is_cached: bool) -> int:
    """Warm if it can be, cold if it must. Raises: SandboxerError, OSError, RequestError, SealError."""
    if request.is_watched:
        from sandboxer.cli.watched import run_watched

        return run_watched(request, argv, telling)
    environment = dict(os.environb)
    cache = open_cache(environment, is_wanted=is_cached)
    key, entry = find_entry(request, environment, cache)
    problem = ""
    if entry is not None and not entry.plan:  # a note: this request wants a control group that has to be asked for
        from sandboxer.run.scoped import ask_for_scope

        problem = ask_for_scope()
        key, entry = find_entry(request, environment, cache) if not problem else (key, None)
    if entry is None:
        from sandboxer.kernel.prctl import harden_supervisor
        from sandboxer.run.prepare import prepare
        from sandboxer.run.scoped import ask_for_scope

        entry = prepare(request, key, cache, ask=(lambda: problem) if problem else ask_for_scope)
        harden_supervisor()
    return run_entry(request, argv, telling, entry, environment)


def run_entry(
    request: Request,
    argv: list[str],
    telling: Telling,
    entry: Entry,
    environment: dict[bytes, bytes],
    explained: Explained | None = None,
) -> int:
    """Start a plan, wait, tell. explained: who hears of refused calls meanwhile. Raises: as `run_request`."""
    check_kept(entry.kept)
    command = make_command(argv, entry, environment, request.values)
    telling.before(entry)
    terminal = None
    if request.is_terminal:
        from sandboxer.kernel.terminal import find_terminal

        terminal = find_terminal()
    watch_fd = explained.watch.launcher_fd if explained else -1
    forwards = FORWARDED if request.is_terminal else FORWARDED_WITH_STOP
    launch = launch_entry(entry, command, forwards=forwards, watch_fd=watch_fd)
    if explained:
        explained.watch.serve(launch)
    data, status = launch.wait()
    if terminal and os.WIFSIGNALED(status):
        terminal.give_back()  # the launcher did not come to that
    return telling.after(entry, command, data, status, explained)


def check_in_place(given: Given) -> None:
    """Raises: UsageError for options that only a box can fulfil, or that only mean something without one."""
    if not given.has("--in-place"):
        if given.has("--weaken"):
            raise UsageError("--weaken is for --in-place", "`enforce: best_effort` in the profile, for a box")
        return
    for flag, why in NEEDS_MONITOR.items():
        if given.has(flag):
            raise UsageError(f"{flag} cannot be had with --in-place: {why}", f"leave {flag} or --in-place away")


def run_in_place(request: Request, argv: list[str], telling: Telling, *, may_weaken: bool) -> int:
    """Become the command; the exit status if that cannot be. Raises: as `run_request`."""
    from sandboxer.run.in_place.become import become, find_fault, prepare_command

    prepared = prepare_command(request, argv, may_weaken=may_weaken)
    check_kept(prepared.kept)
    telling.before_in_place(prepared.about)
    found = find_fault(prepared)
    if found:
        status, problem = found
        from sandboxer.cli.messages import show_problem

        say(show_problem(problem))
        return status
    become(prepared)


def check_kept(kept: Sequence[int]) -> None:
    """Descriptors that the command gets must be the caller's. Ours are close-on-exec, and what the caller gave us cannot be."""
    for descriptor in kept:
        try:
            is_given = os.get_inheritable(descriptor)
        except OSError:
            is_given = False
        if not is_given:
            raise RequestError(f"descriptor {descriptor} is not open", f"open it for this command: {descriptor}<FILE")


def say(text: str) -> None:
    """A line on standard error. That nobody reads it does not change what became of the command."""
    try:
        if sys.stderr is not None:  # it is where descriptor 2 was closed
            print(text, file=sys.stderr, flush=True)
    except OSError:
        pass


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it. Raises: OSError."""
    while data:
        data = data[os.write(descriptor, data) :]


def _met_a_limit(record: dict[str, int]) -> bool:
    """Whether the command failed, and its control group counted something that may be why."""
    from sandboxer.launcher.record import UNKNOWN

    return record["exit_code"] != 0 and any(record[name] not in (0, UNKNOWN) for name in ("oom_kills", "pids_refused"))


class Telling:
    """What is said about a run: before it, after it, or instead of it."""

    __slots__ = ("_argv", "_is_json", "_is_quiet", "_is_verbose", "_profile", "_report", "_report_fd", "_wants_usage")

    def __init__(self, given: Given, argv: list[str], profile: str) -> None:
        self._argv = argv
        self._profile = profile
        self._is_json = given.has("--json")
        self._is_verbose = given.has("--verbose")
        self._is_quiet = given.has("--quiet")
        self._wants_usage = given.has("--usage")
        self._report = given.one("--report")
        self._report_fd = -1

    def open_report(self) -> None:
        """Open the file now: what cannot be written is known before anything runs, and the command cannot move the file."""
        if self._report and self._report != "-":
            # A job of before may have left a link or a pipe under this name; in /dev and /proc no job did.
            is_given = self._report.startswith(("/dev/", "/proc/"))
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOCTTY
            flags |= 0 if is_given else os.O_NOFOLLOW | os.O_NONBLOCK
            try:
                self._report_fd = os.open(self._report, flags, 0o666)
            except OSError as error:
                attempt = "a file; this is a link or a pipe" if error.errno in (ELOOP, ENXIO) else ""
                raise RequestError(f"cannot write the report to {self._report}: {error.strerror}", attempt) from error
            os.set_blocking(self._report_fd, True)

    def before(self, entry: Entry) -> None:
        """What was weakened; with --verbose everything that is enforced."""
        if self._is_json or self._is_quiet:
            return
        if self._is_verbose or b'"weakened"' in entry.about:
            from sandboxer.cli.messages import show_report
            from sandboxer.run.about import read_about

            for line in show_report(read_about(entry.about), is_whole=self._is_verbose):
                say(line)

    def before_in_place(self, about: About) -> None:
        """The same for a command that nobody tells anything of afterwards; each loss at once, for there is no box to check."""
        from sandboxer.cli.messages import show_line, show_report
        from sandboxer.model.report import Status

        if self._is_quiet:
            return
        if self._is_verbose:
            for line in show_report(about, is_whole=True):
                say(line)
            return
        for lost in about.report.lines:
            if lost.status is Status.WEAKENED:
                say(next(show_line(lost)))

    def after(self, entry: Entry, command: Command, data: bytes, status: int, explained: Explained | None = None) -> int:
        """The exit status; and whatever a plain exit status cannot say."""
        from sandboxer.launcher.record import Outcome, RecordError, read_record

        try:
            record = read_record(data)
        except RecordError as error:
            from sandboxer.model.result import Reason
            from sandboxer.run.about import read_about
            from sandboxer.run.failure import launcher_lost

            return self.refused(launcher_lost(str(error), status, read_about(entry.about)), Reason.LAUNCHER_LOST)
        is_plain = record["outcome"] == Outcome.EXITED and not record["after_errno"] and not _met_a_limit(record)
        if is_plain and not (self._report or self._is_json or self._is_verbose or self._wants_usage or explained):
            return record["exit_code"]
        return self._tell(record, entry, command, explained)

    def _tell(self, record: dict[str, int], entry: Entry, command: Command, explained: Explained | None) -> int:
        from sandboxer.cli.messages import show_end, show_usage
        from sandboxer.run.about import read_about
        from sandboxer.run.failure import explain_clean_up
        from sandboxer.run.result import build_result

        about = read_about(entry.about)
        candidates = [os.fsdecode(path) for path in command.candidates]
        record = explained.watch.correct(record) if explained else record
        result, problem = build_result(record, about, argv=command.argv, candidates=candidates)
        result = explained.add_denials(result) if explained else result
        problems = [found for found in (problem, explain_clean_up(record, about)) if found]
        if not self._is_json:
            for line in show_end(result, problems, is_quiet=self._is_quiet, is_verbose=self._is_verbose):
                say(line)
            if self._wants_usage and not self._is_verbose:
                say(f"sandboxer: {show_usage(result)}")
        if explained and not (self._is_json or self._is_quiet):
            from sandboxer.cli.denials import show_denials

            for line in show_denials(result):
                say(line)
        self._write(result, about, problems)
        return result.status

    def _write(self, result: Result, about: About, problems: Sequence[Problem]) -> None:
        if self._report or self._is_json:
            from sandboxer.run.result import result_data

            self._write_data(result_data(result, about, problems))

    def _write_data(self, data: dict[str, object]) -> None:
        import json

        if self._is_json:
            say(json.dumps(data))
        descriptor = 1 if self._report == "-" else self._report_fd
        if descriptor < 0:
            return
        try:
            write_all(descriptor, (json.dumps(data, indent=2) + "\n").encode())
        except OSError as error:  # a job may have filled the disk: that changes nothing of how it ended
            say(f"sandboxer: the report cannot be written: {error.strerror}")
        if descriptor == self._report_fd:
            os.close(descriptor)
            self._report_fd = -1

    def refused(self, error: SandboxerError, reason: Reason | None = None) -> int:
        """Nothing ran; or, with a reason that says so, nobody knows what ran."""
        from sandboxer.cli.messages import show_error
        from sandboxer.model.result import Reason
        from sandboxer.run.result import refusal_data

        if not self._is_json:
            say(show_error(error))
        if self._is_json or self._report_fd >= 0 or self._report == "-":
            self._write_data(refusal_data(self._profile, self._argv, error, reason or Reason.SETUP_FAILED))
        return REFUSED
