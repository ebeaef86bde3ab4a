"""What this kernel lets this user really do, found out by doing it in a child that is thrown away.

Sysctls, LSMs, seccomp filters around us, chroots and what covers /proc all have a say in whether a namespace or a mount
works, and no file tells their verdict; the trial does. The child walks the same road as the launcher (as root: mounts first, user
namespace last as an unprivileged id; as an ordinary user: user namespace first) and sends one line `step errno` for each
step, so that even a child killed by a filter has said how far it came. Nothing of it reaches the host.
"""

from __future__ import annotations

import os
import select
import signal
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from sandboxer.abi.namespaces import NAMESPACES, CloneFlag
from sandboxer.kernel import calls

UNPRIVILEGED_ID = 65534
TRIAL_LIMIT_S = 5.0
TRIES = 3
INSIDE_ID = 1000
NOT_TRIED = -1


@dataclass(frozen=True, slots=True)
class Trial:
    """What the child found. `errnos`: step -> 0 or errno; a step that is not in it was never reached.

    steps: landlock, user, maps, mount, pid, ipc, uts, net, cgroup, time, private, tmpfs, proc, overlay, idmap, devices, bar.
    killed_by: the signal that ended the child before it was done; 0: none.
    """

    errnos: Mapping[str, int]
    missing_calls: tuple[str, ...] = ()
    landlock_abi: int = 0
    killed_by: int = 0

    def errno(self, step: str) -> int:
        """0: it worked; an errno; or NOT_TRIED."""
        return self.errnos.get(step, NOT_TRIED)

    def works(self, step: str) -> bool:
        """Whether the step was done and the kernel agreed."""
        return self.errno(step) == 0


def run_trial(*, is_privileged: bool, scratch: str = "/tmp") -> Trial:
    """Fork, try, and report; 3 ms. scratch: an existing directory, covered in the child's own mount namespace only.

    A filter kills with SIGSYS. SIGKILL is somebody's who knows nothing of us, as when memory is out: that is tried again.
    Raises: OSError when not even a process or a pipe can be made.
    """
    for _ in range(TRIES):
        trial = _try_once(is_privileged=is_privileged, scratch=scratch)
        if trial.killed_by != signal.SIGKILL:
            break
    return trial


def _try_once(*, is_privileged: bool, scratch: str) -> Trial:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    uid, gid = os.geteuid(), os.getegid()
    with warnings.catch_warnings():
        # Threads in the caller do no harm: the child calls the kernel and leaves by _exit.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _run_child(lambda: _try_all(writing, is_privileged=is_privileged, ids=(uid, gid), scratch=os.fsencode(scratch)))
    os.close(writing)
    try:
        text = _read_all(reading, child)
    finally:
        os.close(reading)
        status = _reap(child)
    return parse_trial(text, killed_by=os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0)


def parse_trial(text: str, *, killed_by: int = 0) -> Trial:
    """What the child's lines say; half a last line is left out."""
    errnos: dict[str, int] = {}
    missing: tuple[str, ...] = ()
    abi = 0
    for line in text.splitlines(keepends=True):
        words = line.split()
        if not line.endswith("\n") or not words:
            continue
        if words[0] == "missing":
            missing = tuple(words[1:])
        elif words[0] == "abi":
            abi = int(words[1])
        else:
            errnos[words[0]] = int(words[1])
    return Trial(errnos, missing, abi, killed_by)


def _run_child(work: Callable[[], None]) -> None:
    """Do the work and leave, without any of the interpreter's farewells; never returns."""
    try:
        calls.die_with_parent(signal.SIGKILL)
        work()
    finally:
        os._exit(0)


def _read_all(reading: int, child: int) -> str:
    """All that comes through the pipe; the child is killed when it takes too long."""
    parts: list[bytes] = []
    end = time.monotonic() + TRIAL_LIMIT_S
    while True:
        ready, _, _ = select.select([reading], [], [], max(end - time.monotonic(), 0))
        if not ready:
            os.kill(child, signal.SIGKILL)
            break
        part = os.read(reading, 65536)
        if not part:
            break
        parts.append(part)
    return b"".join(parts).decode("ascii", "replace")


def _reap(child: int) -> int:
    try:
        return os.waitpid(child, 0)[1]
    except ChildProcessError:  # the caller ignores SIGCHLD, so the kernel reaped it
        return 0


def _say(writing: int, text: str) -> None:
    os.write(writing, f"{text}\n".encode())


def _attempt(writing: int, step: str, work: Callable[[], object]) -> bool:
    try:
        work()
    except OSError as error:
        _say(writing, f"{step} {error.errno or 0}")
        return False
    _say(writing, f"{step} 0")
    return True


def _try_all(writing: int, *, is_privileged: bool, ids: tuple[int, int], scratch: bytes) -> None:
    abi, refused = calls.find_landlock_abi()
    _say(writing, f"abi {abi}")
    _say(writing, f"landlock {refused}")
    _say(writing, "missing " + " ".join(calls.find_missing_calls()))
    if is_privileged:
        _attempt(writing, "devices", calls.load_device_program)
    has_own_users = not is_privileged and _try_user_namespace(writing, ids)
    kinds = {name: flag for name, flag in NAMESPACES.items() if flag is not CloneFlag.NEWUSER}
    made = {name for name, flag in kinds.items() if _attempt(writing, name, partial(calls.unshare, flag))}
    ready, go = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
    first = os.fork()  # the first process in the new pid namespace: only it can mount a new /proc
    if first == 0:
        os.close(go[1])  # or its own copy keeps it waiting
        _run_child(
            lambda: _try_inside(
                writing,
                scratch if "mount" in made else b"",
                is_privileged=is_privileged,
                has_own_users=has_own_users,
                ready=ready[1],
                go=go[0],
            )
        )
    os.close(ready[1])
    if is_privileged and os.read(ready[0], 1):
        _attempt(writing, "idmap", lambda: _try_idmap(first, scratch))
    os.close(go[1])
    os.waitpid(first, 0)


def _try_inside(writing: int, scratch: bytes, *, is_privileged: bool, has_own_users: bool, ready: int, go: int) -> None:
    """Try what the launcher does inside. scratch empty: there is no mount namespace of our own, so nothing is attached.

    has_own_users: in a user namespace of our own from the start; the privileged make theirs here.
    """
    # A mount that is attached while mounts are still shared would show on the host.
    is_private = bool(scratch) and _attempt(writing, "private", calls.make_private)
    _attempt(writing, "proc", lambda: os.close(calls.make_mount(b"proc")))
    if is_private and _attempt(writing, "tmpfs", lambda: calls.mount(b"tmpfs", scratch, b"mode=755")):
        _attempt(writing, "overlay", lambda: _try_overlay(scratch, is_privileged=is_privileged))
    if is_privileged:
        _become_unprivileged()
        has_own_users = _try_user_namespace(writing, (UNPRIVILEGED_ID, UNPRIVILEGED_ID))
        _attempt(writing, "inside", lambda: calls.unshare(CloneFlag.NEWUTS))
        os.write(ready, b"r")
        os.read(go, 1)
    if has_own_users:  # in another one the number is somebody else's
        _attempt(writing, "bar", _bar_user_namespaces)


def _become_unprivileged() -> None:
    os.setgroups([])
    os.setresgid(UNPRIVILEGED_ID, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
    os.setresuid(UNPRIVILEGED_ID, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
    calls.set_dumpable(1)  # or /proc/self/uid_map stays root's


def _try_user_namespace(writing: int, ids: tuple[int, int]) -> bool:
    """Enter one of our own, and map the ids. Whether there is one."""
    is_made = _attempt(writing, "user", lambda: calls.unshare(CloneFlag.NEWUSER))
    if is_made:
        _attempt(writing, "maps", lambda: _write_maps(ids))
    return is_made


def _write_maps(ids: tuple[int, int]) -> None:
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{INSIDE_ID} {ids[0]} 1"),
        ("gid_map", f"{INSIDE_ID} {ids[1]} 1"),
    ):
        _write(f"/proc/thread-self/{name}", text)


def _bar_user_namespaces() -> None:
    _write("/proc/sys/user/max_user_namespaces", "0")


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _try_overlay(scratch: bytes, *, is_privileged: bool) -> None:
    for name in (b"lower", b"upper", b"work", b"merged"):
        os.mkdir(scratch + b"/" + name)
    own = b"" if is_privileged else b",userxattr"
    data = b"lowerdir=%b/lower,upperdir=%b/upper,workdir=%b/work" % (scratch, scratch, scratch)
    calls.mount(b"overlay", scratch + b"/merged", data + own)


def _try_idmap(first: int, scratch: bytes) -> None:
    """Idmap a copy of the root's mount, and where its file system cannot, one of the scratch directory's."""
    namespace = os.open(f"/proc/{first}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _idmap_copy(b"/", namespace)
    except OSError:
        _idmap_copy(scratch, namespace)
    finally:
        os.close(namespace)


def _idmap_copy(path: bytes, namespace: int) -> None:
    copy = calls.clone_mount(path)
    try:
        calls.idmap_mount(copy, namespace)
    finally:
        os.close(copy)
