"""For each limit: a command that goes beyond it, what comes of that, and a twin that stays below. A new row is a new entry."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

FORKS = """
children = []
try:
    for _ in range({count}):
        child = os.fork()
        if child == 0:
            time.sleep(100)
        children.append(child)
finally:
    for child in children:
        os.kill(child, 9)
"""
FILES = "files = []\ndef many():\n    for _ in range({count}):\n        files.append(os.dup(0))\nprint(attempt(many))"
GROWN = "grown = bytearray({mib} << 20)"
RESERVED = """
def reserve():
    try:
        bytearray({mib} << 20)
    except MemoryError:
        raise OSError(errno.ENOMEM, "")
print(attempt(reserve))
"""
LOCKED = """
def lock():
    area = ctypes.create_string_buffer({size})
    if libc.mlock(area, {size}):
        raise OSError(ctypes.get_errno(), "")
print(attempt(lock))
"""
STACK = """
end = int(next(line for line in read("/proc/self/maps").splitlines() if line.endswith("[stack]")).split()[0].split("-")[1], 16)
print(ended(lambda: ctypes.memset(end - {below}, 1, 1)))
"""
QUEUES = """
class Attributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in ("flags", "most", "size", "now", "a", "b", "c", "d")]
def queues():
    for number in range({count}):
        name = b"/limit-%d" % number
        if libc.mq_open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600, ctypes.byref(Attributes(0, 1, 1024))) < 0:
            raise OSError(ctypes.get_errno(), "")
        libc.mq_unlink(name)
print(attempt(queues))
"""
SIGNALS = """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
def queue():
    for _ in range({count}):
        if libc.sigqueue(os.getpid(), int(signal.SIGRTMIN), None):
            raise OSError(ctypes.get_errno(), "")
print(attempt(queue))
"""
CRASH = """
child = os.fork()
if child == 0:
    os.abort()
status = os.waitpid(child, 0)[1]
print(os.WTERMSIG(status), os.WCOREDUMP(status))
"""
WRITTEN = "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\nwrite('/tmp/a', 'x' * {size})"
SPUN = "while time.process_time() < 0.3: pass"
STUBBORN = ("sh", "-c", "trap '' TERM; echo ready; sleep 100")
OBEDIENT = ("sh", "-c", "trap 'echo tidied; exit 3' TERM; sleep 100 & wait")
ASKED = ("sh", "-c", "trap 'echo usr1; exit' USR1; trap 'echo term; exit' TERM; sleep 100 & wait")
"""An interpreter might need longer to begin than the wall stands off."""
PROCESSORS = sorted(os.sched_getaffinity(0))
TAKEN = "os.sched_setaffinity(0, range(8192))\nprint(sorted(os.sched_getaffinity(0)))"
PLAIN = """
policy = os.sched_getscheduler(0)
print(policy, attempt(os.sched_setscheduler, 0, os.SCHED_OTHER, os.sched_param(0)))
"""
OWN_NICENESS = os.getpriority(os.PRIO_PROCESS, 0)
RAISED = """
niceness = os.getpriority(os.PRIO_PROCESS, 0)
print(niceness, attempt(os.setpriority, os.PRIO_PROCESS, 0, niceness - 1))
"""
SCRATCH = "filesystem: {tmpfs: [/scratch]}"
FILLED = """
def fill():
    with open("/scratch/x", "wb", buffering=0) as file:
        for _ in range({count}):
            file.write(bytes(65536))
found = attempt(fill)
print(found)
sys.exit(0 if found == "ok" else 3)
"""
IS_CORE_A_FILE = Path("/proc/sys/kernel/core_pattern").read_text().strip() == "core"


@dataclass(frozen=True, slots=True)
class Run:
    """One run: limits, Python code or a command, and what comes of it. said: what it prints. sections: more of the profile."""

    limits: str
    code: str | tuple[str, ...]
    said: str = ""
    reason: str = "exited"
    status: int = 0
    sections: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A limit that is tripped, and its twin. alone: what comes of the first where no group keeps it; None: it is refused there.

    counted: numbers of the usage that are above zero in the first, where a group counts them, and zero in the twin.
    """

    beyond: Run
    below: Run
    alone: Run | None = None
    counted: tuple[str, ...] = ()


NO_WALL = "landlock: {unhandled: [filesystem]}"
"""Landlock lets nobody have a message queue: no path leads to one."""

CASES: dict[str, Case] = {
    "memory": Case(
        Run("{memory: 64M}", GROWN.format(mib=200), reason="oom", status=137),
        Run("{memory: 64M}", GROWN.format(mib=20)),
        counted=("oom_kills",),
    ),
    "processes": Case(
        Run("{processes: 10}", FORKS.format(count=20), reason="pids_limit", status=1),
        Run("{processes: 10}", FORKS.format(count=9)),
        alone=Run("{processes: 10}", FORKS.format(count=20), status=1),
        counted=("pids_refused",),
    ),
    "cpus": Case(
        # So little that even a machine with a long queue gives more.
        Run("{cpus: 4%}", "while time.process_time() < 0.1: pass"),
        Run("{cpus: 64}", SPUN),
        counted=("throttled_periods", "throttled_us"),
    ),
    "cpuset": Case(
        Run(f"{{cpuset: {PROCESSORS[0]}}}", TAKEN, f"[{PROCESSORS[0]}]"),
        Run(f"{{cpuset: '{','.join(map(str, PROCESSORS))}'}}", TAKEN, str(PROCESSORS)),
    ),
    "scheduler": Case(
        Run("{scheduler: idle}", PLAIN, "5 EPERM"),
        Run("{scheduler: batch}", PLAIN, "3 ok"),
    ),
    "niceness": Case(
        Run("{niceness: 12}", RAISED, "12 EACCES"),
        Run("{niceness: 0}", f"print({OWN_NICENESS} == os.getpriority(os.PRIO_PROCESS, 0))", "True"),
    ),
    "disk": Case(
        Run("{disk: 256K}", FILLED.format(count=100), "ENOSPC", reason="disk_quota", status=3, sections=SCRATCH),
        Run("{disk: 256K}", FILLED.format(count=2), "ok", sections=SCRATCH),
    ),
    "cpu_time": Case(
        Run("{cpu_time: 1s, wall: 60s}", "while True: pass", reason="cpu_timeout", status=152),
        Run("{cpu_time: 30s, wall: 60s}", SPUN),
    ),
    "idle": Case(
        Run("{idle: 1s, wall: 60s}", "time.sleep(100)", reason="idle_timeout", status=124),
        Run("{idle: 30s, wall: 60s}", "time.sleep(0.2)"),
    ),
    "wall": Case(
        Run("{wall: 500ms, grace: 0}", "time.sleep(100)", reason="wall_timeout", status=124),
        Run("{wall: 60s, grace: 0}", "print('done')", "done"),
    ),
    "grace": Case(
        Run("{wall: 2s, grace: 500ms}", STUBBORN, "ready", reason="wall_timeout", status=124),
        Run("{wall: 2s, grace: 30s}", OBEDIENT, "tidied", reason="wall_timeout", status=124),
    ),
    "stop_signal": Case(
        Run("{wall: 2s, grace: 30s, stop_signal: SIGUSR1}", ASKED, "usr1", reason="wall_timeout", status=124),
        Run("{wall: 2s, grace: 30s}", ASKED, "term", reason="wall_timeout", status=124),
    ),
    "output": Case(
        Run("{output: 10K}", "print('x' * 20000)", "x" * 10240, reason="output_limit", status=137),
        Run("{output: 10K}", "print('x' * 5000)", "x" * 5000),
    ),
    "file_size": Case(
        Run("{file_size: 100K}", WRITTEN.format(size=200_000), reason="file_limit", status=153),
        Run("{file_size: 100K}", WRITTEN.format(size=50_000)),
    ),
    "open_files": Case(
        Run("{open_files: 32}", FILES.format(count=40), "EMFILE"),
        Run("{open_files: 32}", FILES.format(count=10), "ok"),
    ),
    "core": Case(
        Run("{core: 0}", CRASH, "6 False"),
        # Only where the kernel writes a file by that name does it lie with the box whether there is one.
        Run("{core: 1G}", CRASH, "6 True") if IS_CORE_A_FILE else Run("{core: 1G}", "print('no file')", "no file"),
    ),
    "stack": Case(
        Run("{stack: 4M}", STACK.format(below=(4 << 20) + (64 << 10)), "-11"),
        Run("{stack: 4M}", STACK.format(below=2 << 20), "0"),
    ),
    "address_space": Case(
        Run("{address_space: 512M}", RESERVED.format(mib=600), "ENOMEM"),
        Run("{address_space: 512M}", RESERVED.format(mib=50), "ok"),
    ),
    "data": Case(
        Run("{data: 256M}", RESERVED.format(mib=300), "ENOMEM"),
        Run("{data: 256M}", RESERVED.format(mib=50), "ok"),
    ),
    "locked_memory": Case(
        Run("{locked_memory: 64K}", LOCKED.format(size=1 << 20), "ENOMEM"),
        Run("{locked_memory: 64K}", LOCKED.format(size=8192), "ok"),
    ),
    "queue_bytes": Case(
        Run("{queue_bytes: 16K}", QUEUES.format(count=20), "EMFILE", sections=NO_WALL),
        Run("{queue_bytes: 16K}", QUEUES.format(count=3), "ok", sections=NO_WALL),
    ),
    "signals_pending": Case(
        Run("{signals_pending: 32}", SIGNALS.format(count=60), "EAGAIN"),
        Run("{signals_pending: 32}", SIGNALS.format(count=10), "ok"),
    ),
    "nice": Case(
        Run("{nice: 0}", "print(attempt(os.setpriority, os.PRIO_PROCESS, 0, -1))", "EACCES"),
        Run("{nice: 0}", "print(attempt(os.setpriority, os.PRIO_PROCESS, 0, 5))", "ok"),
    ),
    "realtime_priority": Case(
        Run("{realtime_priority: 0}", "print(attempt(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(1)))", "EPERM"),
        Run("{realtime_priority: 0}", "print(attempt(os.sched_setscheduler, 0, os.SCHED_BATCH, os.sched_param(0)))", "ok"),
    ),
}
"""Limits that a single command trips. Those that take more have a function of their own in test_every_limit."""
