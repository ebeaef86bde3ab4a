"""Every step of the launcher has advice for the errnos that it is likely to meet."""

from __future__ import annotations

import errno

import pytest

from sandboxer.errors import KernelError
from sandboxer.kernel.advice import ADVICE, GENERAL, VARIANTS
from sandboxer.kernel.explain import errno_name, explain, kernel_error, step_name
from sandboxer.model.op import OPS, U32, U64, MountFilesystem, OpenTree, Text, TextList
from sandboxer.model.place import Place

LIKELY = {
    "make_idmap": "EPERM EINVAL ENOSPC",
    "join_namespace": "EPERM ENOENT EINVAL EACCES",
    "start": "EPERM ENOSPC EUSERS ENOSYS EAGAIN EINVAL ENOMEM EACCES",
    "write_child_maps": "EPERM EINVAL EACCES",
    "run_map_helper": "ENOENT ECHILD EPERM EACCES",
    "open_directory": "ENOENT ENOTDIR EACCES ELOOP",
    "close_fds": "ENOSYS EINVAL EBADF",
    "set_parent_death_signal": "ESRCH",
    "unshare": "EPERM ENOSPC EUSERS EINVAL",
    "write_own_maps": "EPERM EINVAL EACCES EROFS ENOENT",
    "set_ids": "EPERM EINVAL EAGAIN",
    "make_private": "EINVAL EPERM ENOSYS",
    "open_tree": "ENOENT EACCES EPERM EINVAL ELOOP ENOSYS ENOSPC EBUSY",
    "make_stage": "EPERM ENOENT ENOSPC",
    "make_root": "EPERM EINVAL",
    "make_directory": "EROFS EEXIST ENOTDIR ENOSPC ELOOP EACCES EOVERFLOW EXDEV",
    "make_symlink": "EROFS EEXIST",
    "make_file": "EROFS EEXIST EISDIR ENOSPC",
    "attach": "ENOENT ENOTDIR EINVAL EPERM ELOOP ENOSPC",
    "mount_filesystem": "EPERM ENODEV EINVAL ENOSYS EACCES",
    "mount_overlay": "EINVAL ENODEV EPERM EXDEV ESTALE EBUSY EROFS",
    "bind_inside": "ENOENT ENOTDIR EPERM",
    "move_mount": "ENOENT ENOTDIR EINVAL EPERM",
    "check_mounts": "ESTALE ENOENT",
    "set_mount_attributes": "EPERM EINVAL EBUSY ENOENT ENOSYS",
    "pivot_root": "EINVAL EPERM EBUSY",
    "set_host_name": "EPERM EINVAL",
    "bring_up_loopback": "EPERM ENODEV",
    "set_rlimit": "EPERM EINVAL",
    "set_working_directory": "ENOENT EACCES ENOTDIR",
    "set_time_offsets": "EACCES EPERM ERANGE",
    "drop_bounding": "EPERM",
    "set_securebits": "EPERM",
    "set_capabilities": "EPERM",
    "set_ambient": "EPERM",
    "await_inside": "ECHILD",
    "await_outside": "ESRCH",
    "become_init": "EAGAIN ENOMEM EINVAL",
    "open_terminal": "ENOENT EACCES ENOSPC EPERM",
    "load_filter": "EINVAL EACCES ENOMEM",
    "load_watched_filter": "EINVAL EACCES ENOMEM EBUSY EBADF EPIPE EMFILE",
    "make_group": "ENOENT EACCES EROFS EXDEV EAGAIN EBUSY",
    "write_group": "ENOENT EACCES EINVAL EBUSY",
    "enter_groups": "EAGAIN ENOMEM ENOSPC",
    "delegate_group": "EPERM EACCES",
    "kill_by_group": "EBADF",
    "allow_devices": "EPERM EACCES EINVAL E2BIG",
    "remove_groups": "EBUSY ENOENT",
    "clear_work": "ENOTEMPTY ENOENT EACCES EPERM ELOOP",
    "remove_directory": "ENOTEMPTY ENOENT EACCES EBUSY",
    "execve": "ENOENT EACCES ENOEXEC E2BIG ETXTBSY ELOOP EPERM ENOTDIR",
    "launch": "ENOENT EACCES EAGAIN",
}


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.__name__)
def test_every_op_has_a_section_of_advice(op: type) -> None:
    assert ADVICE[step_name(op.__name__)]


@pytest.mark.parametrize(("step", "name"), [(step, name) for step, names in LIKELY.items() for name in names.split()])
def test_likely_errno_of_a_step_has_a_row_of_its_own(step: str, name: str) -> None:
    assert name in ADVICE[step]


def test_every_section_belongs_to_an_op_or_a_call_of_ours() -> None:
    assert set(ADVICE) == {step_name(op.__name__) for op in OPS} | {"execve", "launch"}


def test_every_row_names_a_real_errno_and_says_why() -> None:
    tables = [GENERAL, *ADVICE.values()]
    assert all(hasattr(errno, name) and why and not why.endswith(".") for rows in tables for name, (why, _) in rows.items())


def test_every_variant_belongs_to_a_known_step() -> None:
    assert all(step in ADVICE and hasattr(errno, name) for step, name in VARIANTS)


def test_sentence_says_what_was_to_be_done_and_the_errno() -> None:
    op = OpenTree(U32(0), Text("/data"), U64(1), U32(1), U32(0xFFFFFFFF))
    found = explain("OpenTree", errno.ENOENT, op.say())
    assert found.sentence == "cannot take /data from the host (attributes 0x1): ENOENT"


def test_proc_mount_eperm_is_the_too_revealing_rule() -> None:
    op = MountFilesystem(Text("proc"), Text("/proc"), U64(0), TextList(()))
    assert "too revealing" in explain("mount_filesystem", errno.EPERM, op.say()).why


def test_tmpfs_mount_eperm_is_not_the_too_revealing_rule() -> None:
    op = MountFilesystem(Text("tmpfs"), Text("/tmp"), U64(0), TextList(()))
    assert "too revealing" not in explain("mount_filesystem", errno.EPERM, op.say()).why


def test_unknown_pair_still_gives_a_sentence() -> None:
    found = explain("set_umask", errno.EXFULL)
    assert (found.sentence, bool(found.why), bool(found.attempt)) == ("cannot set umask: EXFULL", True, True)


def test_unknown_step_falls_back_to_the_errno() -> None:
    assert explain("brew_tea", errno.ENOMEM, "brew tea").why == GENERAL["ENOMEM"][0]


def test_launch_without_detail_has_a_phrase() -> None:
    assert explain("launch", errno.ENOENT).sentence == "cannot start the launcher: ENOENT"


@pytest.mark.parametrize(
    ("number", "name"), [(1, "EPERM"), (11, "EAGAIN"), (35, "EDEADLK"), (95, "EOPNOTSUPP"), (4000, "errno 4000")]
)
def test_errno_name_is_the_kernels(number: int, name: str) -> None:
    assert errno_name(number) == name


def test_kernel_error_carries_call_errno_and_place() -> None:
    error = kernel_error("PivotRoot", errno.EINVAL, "make it the root", Place("p.yaml", 3, 1))
    assert isinstance(error, KernelError)
    assert (error.call, error.errno) == ("pivot_root", errno.EINVAL)
    assert str(error).startswith("p.yaml:3:1: cannot make it the root: EINVAL\n  why: ")
