"""The steps of a trial, done in a process that is thrown away: each goes the launcher's road, and says how far it came.

It is imported by a fresh interpreter for that alone, so it imports little.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial

from sandboxer.abi.namespaces import NAMESPACES, CloneFlag
from sandboxer.kernel import calls

UNPRIVILEGED_ID = 65534
INSIDE_ID = 1000


def main(writing: str, is_privileged: str, scratch: str) -> None:
    """Of an interpreter that was started for this: a descriptor to write to, 0 or 1, and a directory."""
    work = partial(try_all, int(writing), is_privileged=is_privileged == "1", ids=(os.geteuid(), os.getegid()))
    leave_after(lambda: work(scratch=os.fsencode(scratch)))


def leave_after(work: Callable[[], None]) -> None:
    """Do the work and leave, without any of the interpreter's farewells; never returns."""
    try:
        calls.die_with_parent(signal.SIGKILL)
        work()
    finally:
        os._exit(0)


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


def try_all(writing: int, *, is_privileged: bool, ids: tuple[int, int], scratch: bytes) -> None:
    """All steps, each as one line `step errno` into a pipe; scratch: as in `run_trial`."""
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
        leave_after(
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
