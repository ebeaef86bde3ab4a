"""A sealed plan becomes a running launcher: one memfd, two pipes, one posix_spawn. Python forks only where that is forbidden.

The warm path passes here, so nothing heavy may be imported. The launcher gets a process group of its own: a signal from the
terminal reaches Python only, and Python forwards it once. (A launcher that serves a pseudo-terminal takes the foreground itself.)
"""

from __future__ import annotations

import os
from _thread import allocate_lock

from sandboxer.launcher.record import RECORD_BYTES
from sandboxer.launcher.unforked import keep, release, unforked

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable, Iterable
else:
    import _signal  # `signal` costs an import of enum

F_ADD_SEALS = 1033  # include/uapi/linux/fcntl.h
ALL_SEALS = 0x1 | 0x2 | 0x4 | 0x8  # F_SEAL_SEAL, SHRINK, GROW, WRITE
FORWARDED = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT, _signal.SIGUSR1, _signal.SIGUSR2, _signal.SIGWINCH)
FORWARDED_WITH_STOP = (*FORWARDED, _signal.SIGTSTP)
EARLY = (*FORWARDED_WITH_STOP, _signal.SIGCONT)
EPERM = 1
IGNORED_BY_PYTHON = (_signal.SIGPIPE, _signal.SIGXFSZ)


def launcher_path() -> str:
    """The launcher that was built with this package."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin", "sandboxer-launch")


def make_sealed(plan: bytes) -> int:
    """A memfd that holds the plan and that nobody can change any more, the launcher least of all. memfd_create(2).

    Everything else is sealed by `kernel/buffers/sealed.py`: to import that, a warm start would take a fortieth longer.
    Raises: OSError.
    """
    from fcntl import fcntl

    descriptor = os.memfd_create("sandboxer-plan", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        left = memoryview(plan)
        while left:
            left = left[os.write(descriptor, left) :]
        fcntl(descriptor, F_ADD_SEALS, ALL_SEALS)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


class Launch:
    """A launcher that runs. It owns the launcher's process and two descriptors; `wait` gives them all back.

    pair: the two categories of SELinux that no other box has, `c123,c456`; empty where the plan asks for none.
    """

    __slots__ = ("_control_fd", "_lock", "_pending", "_result_fd", "pair", "pid")

    def __init__(self) -> None:
        self.pid = 0
        self.pair = b""
        self._control_fd = -1
        self._result_fd = -1
        self._pending: list[int] = []
        self._lock = (
            allocate_lock()
        )  # who cancels may be another thread than who waits, and a number that is closed is soon another's

    def forward(self, signal_number: int, _frame: object = None) -> None:
        """Send a signal to the launcher; one that comes ahead of the start is sent right after it.

        SIGTSTP stops the box and then this process, so that the shell sees its job stop; both go on together.
        """
        if not self.pid:
            self._pending.append(signal_number)
            return
        self._send(signal_number)
        if signal_number == _signal.SIGTSTP:
            _signal.signal(signal_number, _signal.SIG_DFL)
            os.kill(os.getpid(), signal_number)  # returns when somebody lets us go on; at once if nobody could
            _signal.signal(signal_number, self.forward)
            self._send(_signal.SIGCONT)

    def _send(self, signal_number: int) -> None:
        try:
            if self.pid:
                os.kill(self.pid, signal_number)
        except ProcessLookupError:
            pass  # it has ended and was waited for a moment ago

    def cancel(self) -> None:
        """Kill the box; the record will say that it was cancelled. A box that has ended already stays as it is."""
        self._control(b"k")

    def pause(self) -> None:
        """Let no time pass for the box: its wall clock and its idle clock stand still. It runs on, if it has something to do."""
        self._control(b"p")

    def begin(self) -> None:
        """Start the clocks of the box anew."""
        self._control(b"g")

    def _control(self, byte: bytes) -> None:
        with self._lock:
            if self._control_fd < 0:
                return
            try:
                os.write(self._control_fd, byte)
            except BrokenPipeError:
                pass  # the launcher closed its end: the box has ended

    @property
    def result_fd(self) -> int:
        """Readable when the box has ended, for those who wait for several things."""
        return self._result_fd

    def wait(self) -> tuple[bytes, int]:
        """Wait for the end of the box: the record as the launcher wrote it, and the launcher's own wait status.

        In a process that has only inherited it there is nothing to wait for, and no record.
        """
        data = b""
        if not self.pid:
            return data, 0
        while len(data) < RECORD_BYTES:
            piece = os.read(self._result_fd, RECORD_BYTES - len(data))
            if not piece:
                break
            data += piece
        status = os.waitpid(self.pid, 0)[1]
        self.pid = 0
        self.close()
        return data, status

    def close(self) -> None:
        """Let go of the descriptors. A box that still runs is killed by that."""
        with self._lock:
            descriptors = (self._control_fd, self._result_fd)
            self._control_fd = self._result_fd = -1
        for descriptor in descriptors:
            if descriptor >= 0:
                os.close(descriptor)
        release(self)

    def forget(self) -> None:
        """Let go of it in the child of a fork, which has only inherited it: the box goes on."""
        self.pid = 0
        self._lock = allocate_lock()  # a thread that is not here may have held it
        self.close()

    def start(self, plan: bytes, stdio: tuple[int, int, int], kept: Iterable[int], *, launcher: str, watch_fd: int = -1) -> None:
        """Start the launcher on a sealed plan. Raises: OSError."""
        fill_standard_fds()
        for descriptor in (*stdio, *kept):
            os.fstat(descriptor)  # one that is not open must not become a descriptor that is made below
        with unforked():
            self._start(plan, stdio, kept, launcher, watch_fd)
        for signal_number in self._pending:
            self.forward(signal_number)

    def _start(self, plan: bytes, stdio: tuple[int, int, int], kept: Iterable[int], launcher: str, watch_fd: int) -> None:
        plan_fd = make_sealed(plan)
        control_read, self._control_fd = os.pipe()
        self._result_fd, result_write = os.pipe()
        keep(self)
        inside = (plan_fd, control_read, result_write)
        try:
            actions: list[tuple[int, int, int]] = []
            # dup2 onto itself clears close-on-exec in the child only (glibc >= 2.29, musl >= 1.1.20).
            watched = (watch_fd,) if watch_fd >= 0 else ()
            for descriptor in (*inside, *kept, *watched):
                actions.append((os.POSIX_SPAWN_DUP2, descriptor, descriptor))
            actions += _standard_actions(stdio)
            argv = [launcher, "--plan-fd", str(plan_fd), "--control-fd", str(control_read), "--result-fd", str(result_write)]
            argv += [word for descriptor in watched for word in ("--watch-fd", str(descriptor))]
            self.pid = _spawn(launcher, argv, actions)
        except OSError:
            self.close()
            raise
        finally:
            for descriptor in inside:
                os.close(descriptor)


def _spawn(launcher: str, argv: list[str], actions: list[tuple[int, int, int]]) -> int:
    """The launcher takes what is blocked as soon as it listens; unblocked, an early signal would be its end. Raises: OSError."""
    try:
        return os.posix_spawn(
            launcher, argv, {}, file_actions=actions, setsigdef=IGNORED_BY_PYTHON, setsigmask=EARLY, setpgroup=0
        )
    except PermissionError as error:
        if error.errno != EPERM:
            raise
        from sandboxer.launcher.forked import fork_exec

        return fork_exec(launcher, argv, [action[1:] for action in actions], defaults=IGNORED_BY_PYTHON, mask=EARLY)


def _standard_actions(stdio: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """Duplications that make `stdio` 0, 1 and 2. A source below 3 that an earlier one overwrites is refused: it has no reader."""
    changed: set[int] = set()
    actions = []
    for target, source in enumerate(stdio):
        if source in changed:
            raise OSError(f"descriptor {source} is replaced before it becomes {target}")
        if source != target:
            changed.add(target)
            actions.append((os.POSIX_SPAWN_DUP2, source, target))
    return actions


def fill_standard_fds() -> None:
    """Put /dev/null where 0, 1 or 2 is closed, so that no descriptor of ours takes that number."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open("/dev/null", os.O_RDWR), True)  # open takes the lowest free number: this one


def spawn(
    plan: bytes,
    *,
    stdio: tuple[int, int, int] = (0, 1, 2),
    kept: Iterable[int] = (),
    forwards: Iterable[int] = (),
    watch_fd: int = -1,
    launcher: str = "",
) -> Launch:
    """Start a sealed plan.

    stdio: descriptors that become 0, 1 and 2 of the command. kept: descriptors above 2 that the launcher inherits under their
    numbers, and the command too where the plan keeps them.
    forwards: this process is a front of the box (main thread only), and hands these signals on. SIGTSTP is not for a box with a
    terminal of its own: there the key is the job's.
    watch_fd: a socket on which the launcher sends the listener of a watched filter; the caller closes its copy.
    Raises: OSError if the launcher cannot be started or a descriptor is not open.
    """
    launch = Launch()
    take_signals(launch.forward, forwards)
    launch.start(plan, stdio, tuple(kept), launcher=launcher or launcher_path(), watch_fd=watch_fd)
    return launch


def take_signals(forward: Callable[[int, object], None], numbers: Iterable[int]) -> None:
    """Hand signals that people send to a front on, except those that the caller has us ignore (nohup, background jobs)."""
    for number in numbers:
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, forward)
