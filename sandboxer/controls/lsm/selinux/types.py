"""The types that usual policies give to what a box shows of the host, by tree: SELinux knows types of files and no paths.

A row counts for a box that shows something in its tree, or the tree as a part of something. A type that a policy lacks is left
out there. None of these rows holds a type of secrets, of homes, of disks or of settings of the kernel, and no row may.
"""

from __future__ import annotations

from dataclasses import dataclass

_PROGRAMS = ("bin_t", "shell_exec_t")
_LIBRARIES = ("lib_t", "ld_so_t", "textrel_shlib_t")


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree of the host. read: types that can be read where it is shown; run: those that can be executed where it may be."""

    path: str
    read: tuple[str, ...]
    run: tuple[str, ...] = ()


TREES: tuple[Tree, ...] = (
    Tree(
        "/usr",
        ("usr_t", *_PROGRAMS, *_LIBRARIES, "locale_t", "cert_t", "fonts_t", "man_t", "src_t"),
        (*_PROGRAMS, *_LIBRARIES),
    ),
    Tree("/bin", _PROGRAMS, _PROGRAMS),
    Tree("/sbin", _PROGRAMS, _PROGRAMS),
    Tree("/lib", (*_LIBRARIES, *_PROGRAMS), (*_LIBRARIES, *_PROGRAMS)),
    Tree("/lib64", _LIBRARIES, _LIBRARIES),
    Tree("/opt", ("usr_t", *_PROGRAMS, *_LIBRARIES), ("usr_t", *_PROGRAMS, *_LIBRARIES)),
    Tree("/etc", ("etc_t", "ld_so_cache_t", "locale_t", "cert_t", "net_conf_t", "fonts_t")),
    Tree("/run/systemd/resolve", ("net_conf_t", "systemd_resolved_runtime_t", "systemd_resolved_var_run_t")),
    Tree("/proc", ("proc_t",)),
    Tree("/sys", ("sysfs_t",)),
    Tree("/sys/fs/cgroup", ("cgroup_t",)),
)

DEVICES: dict[str, str] = {
    "/dev/null": "null_device_t",
    "/dev/full": "null_device_t",
    "/dev/zero": "zero_device_t",
    "/dev/random": "random_device_t",
    "/dev/urandom": "urandom_device_t",
    "/dev/tty": "devtty_t",
    "/dev/fuse": "fuse_device_t",
    "/dev/kvm": "kvm_device_t",
    "/dev/net/tun": "tun_tap_device_t",
    "/dev/dri": "dri_device_t",
}
"""Devices that boxes are given, by their types. What is not here needs a type of its own, by name (`type`)."""

LAUNCHERS = ("unconfined_t", "unconfined_service_t", "sysadm_t", "initrc_t")
"""The domains of logins and services without a policy of their own, which may start boxes."""
ROLES = ("unconfined_r", "sysadm_r", "staff_r", "system_r")
