"""The table of what an errno really means in a step of the launcher, and what to try. Only `explain` reads it.

Rows come from the kernel's sources and manual pages, and from what misled people in other tools. A step that shares its system
call with another one shares its rows. An empty `try` means that nothing helps but changing the profile as `why` says.
"""

from __future__ import annotations

from collections.abc import Mapping

Row = tuple[str, str]
Rows = Mapping[str, Row]

_CHECK = "run `sandboxer check`: it tries each of these here and names the command that mends it"
_OURS = "this is a fault of sandboxer: please report it with `sandboxer explain PROFILE`"
_NAMESPACES: Rows = {
    "EPERM": (
        "this user may not make these namespaces: a sysctl, a security module, a container's filter or a chroot forbids it",
        _CHECK,
    ),
    "EACCES": ("a security module (SELinux, AppArmor) forbids this user namespace", _CHECK),
    "ENOSPC": (
        "as many namespaces of a kind exist as /proc/sys/user/max_*_namespaces allows",
        "raise the one that `sandboxer check` names",
    ),
    "EUSERS": ("user namespaces are nested 32 deep, or all that user.max_user_namespaces allows exist", _CHECK),
    "ENOSYS": (
        "a filter around this process has begun to hide clone3 since the plan was made",
        "run it again: without clone3 the plan is another one",
    ),
    "EINVAL": ("the kernel was built without one of these namespaces", "leave it out: `namespaces: {NAME: host}`"),
    "EAGAIN": (
        "the caller's process limit is reached (RLIMIT_NPROC, or pids.max of its cgroup)",
        "end some processes, or raise `ulimit -u`",
    ),
    "ENOMEM": (
        "the kernel has no memory left for a process or a namespace, or pid 1 of the pid namespace has ended",
        "free some memory",
    ),
}
_MAPS: Rows = {
    "EPERM": (
        "the caller may map only its own uid and gid, once, and only after setgroups is `deny`; AppArmor can forbid even that",
        "use `ids: {map: single}`; a range needs newuidmap and a row in /etc/subuid and /etc/subgid",
    ),
    "EINVAL": ("the map has overlapping or empty rows, more than 340 of them, or an id that the parent does not have", _OURS),
    "EACCES": ("/proc is not writable here, so id maps cannot be written", "run where /proc is mounted read-write"),
    "EROFS": ("/proc is mounted read-only here (a container does that)", "run where /proc is mounted read-write"),
    "ENOENT": ("/proc is not mounted here, or the kernel has no user namespaces", "mount -t proc proc /proc"),
    "ESRCH": ("the child ended before its ids were mapped", "see the first error of the child"),
}
_LOOKUP: Rows = {
    "ENOENT": ("there is no such path", "make it, correct it, or write it with `?` at its end where it may be missing"),
    "ENOTDIR": ("a part of the path is no directory", "correct the path"),
    "EACCES": ("the caller may not pass through a directory above it", "grant a path that the caller can reach"),
    "ELOOP": ("too many symbolic links, or a link in a place where none is followed", "write the real path"),
    "ENAMETOOLONG": ("the path or a part of it is too long", "use a shorter path"),
    "ESTALE": ("the network file system lost this file", "mount it anew"),
    "EIO": ("the file system cannot be read", "see `dmesg`"),
    "ENOTCONN": ("the FUSE server behind this path has ended", "mount it anew"),
}
_CHANGED: Row = (
    "a symbolic link stands on the path now that was not there when the plan was made, and none is followed",
    "run it again, so that the plan is made anew; if it comes back, somebody is changing the path",
)
_ATTRIBUTES: Rows = {
    "EPERM": (
        "a user namespace may not clear flags that its parent locked on this mount, nor idmap a file system that it does not own",
        "drop what lifts a flag here (`write`, `execute`, `as_owner`), or run as root",
    ),
    "EINVAL": (
        "the file system takes no id mapping on this kernel, or flags contradict each other",
        "grant it without `as_owner` or for reading only, or move it to ext4, xfs, btrfs or tmpfs",
    ),
    "EBUSY": (
        "a file on this mount is open for writing, so it cannot become read-only",
        "close it, or grant the path for writing",
    ),
    "ENOSYS": ("the kernel has no mount_setattr (before 5.12), or a container's filter hides it", _CHECK),
}
_INSIDE: Rows = {
    **_LOOKUP,
    "EACCES": ("a directory above it in the new root has a mode that shuts us out", "give the parent a mode with 0111 in it"),
    "ELOOP": ("a symbolic link stands in the way, and none is followed out of the new root", "name the real place"),
    "EXDEV": ("the path leads out of the new root", "name a place inside"),
    "EROFS": (
        "the place is inside a tree that is shown read-only, so nothing can be made there",
        "make the file or directory on the host first, or grant another place",
    ),
    "EEXIST": ("something is there already: two statements of the profile make the same place", "drop one of the two"),
    "EISDIR": ("there is a directory already", "drop one of the two statements"),
    "ENOSPC": ("the new root is full", "raise `filesystem.root_size`"),
    "EDQUOT": ("a disk quota is used up", "free some space"),
    "EOVERFLOW": ("the owner's id is not mapped in this user namespace", "use an id that `ids` maps"),
    "EAGAIN": ("somebody renames directories of that path at this very moment", "try again"),
    "EPERM": ("the file system does not let this user make it there", "make it on the host first"),
}
_ATTACHING: Rows = {
    **_INSIDE,
    "ENOTDIR": ("one of the two is a directory and the other is not", "make both files or both directories"),
    "EINVAL": ("the place is a symbolic link or no longer connected to the root", "name the real place"),
    "ELOOP": ("a mount would come to lie inside itself, or a link stands in the way", "name the real place"),
    "EPERM": ("the mount came with locks from a parent user namespace", "show the whole tree it belongs to, or run as root"),
    "ENOSPC": ("the mount namespace has as many mounts as fs.mount-max allows", "grant fewer paths, or raise fs.mount-max"),
    "ENOSYS": ("the kernel has no move_mount (before 5.2), or a container's filter hides it", _CHECK),
}
_NEW_MOUNT: Rows = {
    "EPERM": ("mounting needs CAP_SYS_ADMIN in the user namespace, and a security module can take that away", _CHECK),
    "EACCES": ("a security module forbids this mount", "see `dmesg` or the audit log for the denial"),
    "EINVAL": ("the file system does not know an option, or a value does not fit", "correct its size, mode or options"),
    "ENODEV": ("the kernel does not have this file system", "load its module as root: modprobe NAME"),
    "ENOSYS": ("the kernel has no fsopen (before 5.2), or a container's filter hides it", _CHECK),
    "ENOSPC": ("the mount namespace has as many mounts as fs.mount-max allows", "mount fewer things, or raise fs.mount-max"),
    "ENOMEM": ("the kernel has no memory for another file system", "free some memory"),
    "EBUSY": ("it is mounted there already", "drop one of the two statements"),
    **{name: _INSIDE[name] for name in ("ENOENT", "ENOTDIR", "ELOOP", "EXDEV")},
}
_STARTING: Rows = {
    "ENOENT": (
        "there is no such program in the box, or its interpreter (`#!`) or its loader is missing there",
        "grant its path for `execute`",
    ),
    "EACCES": (
        "the file is not executable for this user, lies on a mount without `execute`, or a directory above it is shut",
        "chmod +x it, and grant its path for `execute` and not only for `read`",
    ),
    "ENOEXEC": (
        "the file is no program for this machine: another architecture, or a script without a `#!` line",
        "name its interpreter: sh FILE",
    ),
    "E2BIG": (
        "the arguments and the environment together are too long",
        "pass less, or raise `limits.stack` (a quarter of it is for them)",
    ),
    "ETXTBSY": ("the program is open for writing in another process", "close it there and try again"),
    "ELOOP": ("too many symbolic links, or scripts that name scripts as their interpreters", "name the real program"),
    "ENOTDIR": ("a part of the path is no directory", "correct the path"),
    "EISDIR": ("the program or its interpreter is a directory", "name a file"),
    "ENAMETOOLONG": ("the path is too long", "use a shorter path"),
    "EPERM": (
        "the system call filter denies execve, or the file's capabilities cannot be given here",
        "add execve to `seccomp.allow`, or remove the file's capabilities",
    ),
    "ENOMEM": ("the program does not fit into `limits.address_space`, or memory is short", "raise the limit"),
    "EAGAIN": ("the process limit was exceeded when the ids changed", "raise `limits.processes`"),
    "EMFILE": ("the limit of open files is reached already", "raise `limits.open_files`"),
    "EINVAL": ("the program names more than one interpreter", "build it anew"),
    "ELIBBAD": ("the loader that the program names is no loader", "install the right one"),
    "EIO": ("the file cannot be read", "see `dmesg`"),
    "ENOSYS": ("the system call filter hides execve", "add execve to `seccomp.allow`"),
}

_LANDLOCK: Rows = {
    "EOPNOTSUPP": (
        "the kernel has Landlock and did not start it",
        "boot with lsm=landlock,..., or landlock: {enforce: best_effort}",
    ),
    "ENOSYS": ("the kernel was built without Landlock, or a filter around us hides it", "use landlock: {enforce: best_effort}"),
    "EINVAL": ("the kernel's Landlock is older than the plan", "compile the plan anew on this machine"),
    "EMFILE": ("no descriptor is left for the ruleset", "raise `limits.open_files`"),
    "ENOMEM": ("the kernel has no memory left for the ruleset", "free some memory"),
}

_FILTER: Rows = {
    "EINVAL": (
        "the filter is malformed or over 4096 instructions, or the kernel does not know a flag or action of it",
        _OURS,
    ),
    "EACCES": ("a filter needs no_new_privs or CAP_SYS_ADMIN", "drop the override of `process.no_new_privs`"),
    "ENOMEM": (
        "all filters of a process together may have 32768 instructions, in the kernel's form of them; those of the plan fit, "
        "so the ones around us are too many, or net.core.bpf_jit_harden makes all of them longer",
        "use fewer `restrict` layers, or start it from a process with fewer filters",
    ),
    "EBUSY": ("the process has a filter with a listener already", "drop one of the two"),
    "EFAULT": ("the filter could not be read", _OURS),
    "ENOSYS": ("the kernel has no seccomp filters, or a filter around us hides seccomp(2)", _CHECK),
    "EPERM": ("a filter around us forbids loading another one", _CHECK),
}

ADVICE: Mapping[str, Rows] = {
    "make_idmap": {
        **_NAMESPACES,
        **_MAPS,
        "ENOSPC": _NAMESPACES["ENOSPC"],
        "EPERM": (
            "only a caller with privilege over these ids may map them for mounts",
            "run as root, or grant the paths without `as_owner`",
        ),
    },
    "join_namespace": {
        **_LOOKUP,
        "EPERM": ("joining needs CAP_SYS_ADMIN in the user namespace that owns it, and no chroot", "run as its owner or as root"),
        "EINVAL": ("the path is no namespace of that kind, or it is the user namespace that we are in", "name /proc/PID/ns/KIND"),
        "ENOENT": ("there is no such namespace: its last process may have ended", "keep it by a process or a bind mount"),
        "EACCES": ("this user may not look into that process", "run as its owner or as root"),
        "EUSERS": ("a time namespace cannot be joined by a process with threads", _OURS),
        "ENOSYS": ("the kernel cannot join namespaces, or a container's filter hides setns", _CHECK),
    },
    "start": _NAMESPACES,
    "start_by_clone": _NAMESPACES,
    "move_child": {
        "ECHILD": ("the child ended before it was in its control group", "see the first error of the child"),
        **dict.fromkeys(("EACCES", "EPERM"), ("the caller may not move a process out of its own control group", _CHECK)),
        "EBUSY": ("the control group has groups below it that have its controllers", _OURS),
        "EAGAIN": ("a group has no room for one more process", "a higher limit of processes"),
        "EOPNOTSUPP": ("the control group is a threaded one, or below one", "run it in a group of another kind"),
    },
    "await_inside": {
        "EPIPE": ("the child ended before it asked for its ids", "see the first error of the child"),
        "ECHILD": ("the child ended before it asked for its ids", "see the first error of the child"),
    },
    "write_child_maps": _MAPS,
    "run_map_helper": {
        "ENOENT": ("newuidmap and newgidmap are not installed", "sudo apt-get install uidmap, or use `ids: {map: single}`"),
        "ECHILD": (
            "the helper refused: /etc/subuid or /etc/subgid does not give this user these ids, or it is not setuid",
            "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER",
        ),
        "EPERM": ("a security module or a filter forbids running the helper", _CHECK),
        "EACCES": ("the helper may not be executed", "reinstall the package uidmap"),
        "E2BIG": ("the id map has more rows than the helper takes", "give the user fewer and larger ranges in /etc/subuid"),
        "EAGAIN": _NAMESPACES["EAGAIN"],
        "ENOMEM": _NAMESPACES["ENOMEM"],
    },
    "become_subreaper": {"EINVAL": ("the kernel has no subreapers (before 3.4)", "use a newer kernel")},
    "arm_wall_clock": {
        "EINVAL": ("the kernel does not take this time", "use a smaller `limits.wall`"),
        "EMFILE": ("the caller has no descriptor left for the clock", "raise `ulimit -n`"),
    },
    "open_directory": {**_LOOKUP, "ELOOP": _CHANGED},
    "await_outside": {
        "ESRCH": ("the monitor gave up while the child waited for it", "see the error of the step before"),
        "EPIPE": ("the monitor ended while the child waited for it", "see the error of the step before"),
        "ECANCELED": ("the monitor failed in a step of its own", "see the error of the step before"),
    },
    "close_fds": {
        "ENOSYS": ("the kernel has no close_range (before 5.9), or a container's filter hides it", _CHECK),
        "EINVAL": ("close_range cannot mark descriptors close-on-exec before 5.11", "use a newer kernel"),
        "EBADF": ("a descriptor that `process.fds` lists is not open", "open it: sandboxer exec ... 3<FILE"),
        "EISDIR": (
            "a descriptor that the command would get is a directory, and through that it would reach all of the host's files",
            "give it no directory as standard input, output or `--fd`; grant paths under `filesystem`",
        ),
        "EMFILE": ("the descriptor table cannot grow", "raise `ulimit -n`"),
    },
    "new_keyring": {
        "ENOSYS": ("the kernel has no keys, or a container's filter hides them", "take `syscalls/keyring` out of the profile"),
        "EPERM": ("a container's filter forbids keys", "take `syscalls/keyring` out of the profile"),
        "EDQUOT": ("the user has as many keys as the kernel allows", "raise kernel.keys.maxkeys, or run fewer boxes at once"),
    },
    "own_pipes": {"EBADF": ("a standard stream is closed", _OURS)},
    "new_session": {"EPERM": ("the process leads a process group already", _OURS)},
    "set_parent_death_signal": {
        "ESRCH": ("the monitor had ended already, so the box would never end", "nothing to mend: the run was cancelled"),
        "EINVAL": ("this is no signal", _OURS),
    },
    "unshare": _NAMESPACES,
    "bar_namespaces": {
        "EPERM": ("the box is in a user namespace that is not its own, and the number of all would be changed", _OURS),
        "EACCES": ("the box has no CAP_SYS_RESOURCE in its user namespace, or a security module forbids it", _CHECK),
        "EROFS": ("/proc/sys is read-only here (a container has it so) since the plan was made", "run it again"),
        "ENOENT": ("/proc shows no /proc/sys/user here since the plan was made", "run it again"),
    },
    "write_own_maps": _MAPS,
    "set_ids": {
        "EINVAL": ("the id is not mapped in this user namespace", "use an id that `ids` maps, or `ids: {map: range}`"),
        "EPERM": (
            "only a mapped id may be taken, and groups only where setgroups is allowed",
            "drop `ids.groups`, or use `ids: {map: range}`",
        ),
        "EAGAIN": (
            "that user has more processes than its limit allows",
            "raise `limits.processes`, or use another `ids.outside`",
        ),
    },
    "set_dumpable": {"EINVAL": ("the kernel refuses this value", _OURS)},
    "make_private": {
        "EINVAL": (
            "`/` is no mount point here: this process lives in a chroot",
            "enter the directory by pivot_root instead of chroot",
        ),
        "EPERM": ("mounts cannot be changed in this namespace: a security module forbids it", _CHECK),
        "EACCES": ("a security module (AppArmor) forbids changing mounts", _CHECK),
        "ENOSYS": _ATTRIBUTES["ENOSYS"],
    },
    "open_tree": {
        **_LOOKUP,
        **_ATTRIBUTES,
        "ELOOP": _CHANGED,
        "EINVAL": (
            "the file system takes no id mapping, or mounts below this path are locked to it and it was taken without them",
            "grant it without `as_owner`, or grant the directory above with all that is mounted below",
        ),
        "ENOSYS": ("the kernel has no open_tree (before 5.2) or mount_setattr (before 5.12), or a filter hides it", _CHECK),
        "ENOSPC": ("the mount namespace has as many mounts as fs.mount-max allows", "grant fewer paths, or raise fs.mount-max"),
        "ENODEV": ("the device behind this file is gone", "grant another path"),
        "ENOMEM": ("the kernel has no memory for another mount", "free some memory"),
        "ETIMEDOUT": ("the file server does not answer", "mount it anew"),
        "EHOSTDOWN": ("the file server does not answer", "mount it anew"),
    },
    "make_stage": {
        **_NEW_MOUNT,
        "ENOENT": ("the directory that the root is built over is gone", "mkdir it, or run again"),
        "EINVAL": ("SELinux's policy does not know the context of the box's files", "sandboxer policy install PROFILE, as root"),
    },
    "make_root": {**_NEW_MOUNT, "EINVAL": ("the kernel does not take this size", "correct `filesystem.root_size`")},
    "make_directory": _INSIDE,
    "make_symlink": _INSIDE,
    "make_file": _INSIDE,
    "attach": _ATTACHING,
    "mount_filesystem": _NEW_MOUNT,
    "mount_overlay": {
        **_NEW_MOUNT,
        "EINVAL": (
            "the file system of the changes cannot be an upper layer (an overlay itself, NFS, no xattrs), or it lies below; "
            "or something is mounted in the tree, which an overlay in a user namespace may not uncover",
            "keep the changes on ext4, xfs, btrfs or tmpfs, outside the tree itself; or name a directory without mounts",
        ),
        "ENODEV": ("the overlay file system is not loaded", "sudo modprobe overlay"),
        "EPERM": (
            "overlays in user namespaces need kernel 5.11, or a security module forbids them",
            "use a newer kernel, or run as root",
        ),
        "EXDEV": ("`upper` and `work` are not on one mount", "keep both below one directory"),
        "ESTALE": ("the kept changes belong to another lower tree", "keep them in an empty directory"),
        "EBUSY": ("another overlay uses these kept changes now", "end that run first, or keep changes in another directory"),
        "EROFS": ("the directory for the changes is on a read-only file system", "keep the changes somewhere else"),
        "EOPNOTSUPP": (
            "the file system of the changes lacks what an overlay needs (xattrs, O_TMPFILE, whiteouts)",
            "keep them on another one",
        ),
        "ELOOP": (
            "a symbolic link stands where `upper` or `work` was, or overlays are stacked deeper than the kernel allows",
            "directories in place of links; the tree below the overlay",
        ),
        "ENOENT": (
            "`upper` or `work` is missing in the directory that keeps the changes",
            "let sandboxer make it: remove it and run again",
        ),
        "EACCES": ("the directory that keeps the changes belongs to somebody else", "keep them in a directory of the caller"),
    },
    "bind_inside": {**_ATTACHING, **_ATTRIBUTES},
    "move_mount": _ATTACHING,
    "check_mounts": {
        **_LOOKUP,
        "ESTALE": (
            "somebody removed a directory of the host since the root was made, and with it what was mounted there",
            "run it again",
        ),
    },
    "set_mount_attributes": {**_INSIDE, **_ATTRIBUTES},
    "keep_root": {
        "EMFILE": ("too many descriptors are open", "a higher hard limit: ulimit -Hn"),
        "EACCES": ("the root cannot be searched by the caller", "chmod o+x /"),
    },
    "pivot_root": {
        "EINVAL": (
            "the host's root is an initramfs or a shared mount, which cannot be let go of",
            "switch_root to a real root first",
        ),
        "EBUSY": ("the new root is the old one", _OURS),
        "EPERM": ("pivot_root needs CAP_SYS_ADMIN over the mount namespace, or a security module forbids it", _CHECK),
        "EACCES": ("a security module (AppArmor) forbids pivot_root", _CHECK),
        "ENOTDIR": ("the new root is no directory", _OURS),
        "ENOSYS": ("a container's filter hides pivot_root", _CHECK),
    },
    "set_host_name": {
        "EPERM": (
            "the host can be named only in a UTS namespace of its own",
            "use `namespaces: {uts: new}` or drop `process.hostname`",
        ),
        "EINVAL": ("a host name has at most 64 bytes", "use a shorter `process.hostname`"),
    },
    "bring_up_loopback": {
        "EPERM": ("the network namespace belongs to another user namespace", "use `namespaces: {net: new}`"),
        "ENODEV": ("this network namespace has no loopback interface", "use another `namespaces.net`"),
        "EAFNOSUPPORT": ("the kernel has no IPv4", "use `network: {mode: none}`"),
        "EACCES": ("a security module forbids sockets here", "use `network: {mode: none}`"),
    },
    "set_rlimit": {
        "EPERM": (
            "only CAP_SYS_RESOURCE raises a hard limit, and the caller's own is lower",
            "lower it in `limits`, or raise `ulimit -H` first",
        ),
        "EINVAL": ("the soft limit is over the hard one, or the kernel does not know this resource", _OURS),
    },
    "set_scheduling": {
        "EPERM": ("a security module forbids it, or the caller is SCHED_IDLE already and may not leave it", _CHECK),
        "EACCES": ("a security module forbids it", _CHECK),
        "EINVAL": ("the kernel does not know this policy", "leave `scheduler` out"),
    },
    "show_space": {
        **_LOOKUP,
        "EPIPE": ("the monitor has ended", "see the first error"),
        "ETOOMANYREFS": ("as many descriptors are on their way in sockets as the user may have open", "raise `ulimit -n`"),
    },
    "hand_over": {
        **_LOOKUP,
        "EBADF": ("nobody is there who would put files into the box", "run it by `sandboxer.run` or `sandboxer.stream`"),
        "ESRCH": ("the caller gave up while it put files into the box", "see the first error"),
    },
    "set_umask": {"EINVAL": ("this is no umask", "use three octal digits, such as 022")},
    "set_working_directory": {
        **_LOOKUP,
        "ENOENT": ("the directory is not in the box", "grant it in `filesystem`, or use another `working_directory`"),
        "EACCES": ("the job's user may not enter the directory", "grant it `as_owner`, or use another `working_directory`"),
        "ENOTDIR": ("it is a file", "name a directory"),
    },
    "set_time_offsets": {
        "EACCES": ("the clocks were fixed already, or the caller has no CAP_SYS_TIME in the user namespace", _OURS),
        "EPERM": (
            "shifting clocks needs CAP_SYS_TIME in the user namespace that owns the time namespace",
            "use `namespaces: {user: new}`",
        ),
        "ERANGE": ("the offset takes the clock below zero or too far ahead", "use a smaller offset"),
        "EINVAL": ("the offset is not in the form that the kernel reads", _OURS),
        "ENOENT": ("the kernel has no time namespaces (before 5.6)", "use `namespaces: {time: host}`"),
    },
    "drop_bounding": {
        "EPERM": ("dropping needs CAP_SETPCAP in the user namespace", "use `namespaces: {user: new}`, or run as root"),
        "EINVAL": ("the kernel does not know one of these capabilities", _OURS),
    },
    "set_securebits": {"EPERM": ("a bit is locked, or CAP_SETPCAP is missing", "drop it from `capabilities.securebits`")},
    "set_capabilities": {
        "EPERM": ("a capability is asked for that the caller or its bounding set does not have", "drop it from `capabilities`"),
        "EINVAL": ("the kernel does not know this form of capability sets", _OURS),
    },
    "set_ambient": {
        "EPERM": (
            "an ambient capability must be permitted and inheritable",
            "add it to `capabilities.keep` and `capabilities.inheritable`",
        ),
        "EINVAL": (
            "the kernel does not know one of these capabilities, or has no ambient set (before 4.3)",
            "drop `capabilities.ambient`",
        ),
    },
    "set_no_new_privs": {"EINVAL": ("the kernel has no no_new_privs (before 3.5)", "use a newer kernel")},
    "become_init": {
        "EINVAL": ("the box has no pid namespace of its own, so it has no pid 1 to become", "use `namespaces: {pid: new}`"),
        "EAGAIN": (
            "no further process is allowed here (RLIMIT_NPROC counts per user namespace)",
            "raise `limits.processes` to 2 or more",
        ),
        "ENOMEM": _NAMESPACES["ENOMEM"],
        "EMFILE": ("no descriptor is left for the pipe to the reaper", "raise `limits.open_files`"),
    },
    "open_terminal": {
        "ENOENT": ("the box has no /dev/pts", "use `devices: {dev: minimal}`"),
        "EACCES": ("the job's user may not use /dev/pts", "use `devices: {dev: minimal}`"),
        "ENOSPC": ("all pseudo-terminals are in use (kernel.pty.max)", "close some, or raise kernel.pty.max"),
        "EPERM": ("the process does not lead a session, so it can have no terminal", "use `process: {new_session: true}`"),
        "EIO": ("the other side of the terminal is closed", "run without -t"),
        "ENXIO": ("the box has no terminal device", "use `devices: {dev: minimal}`"),
    },
    "load_filter": _FILTER,
    "load_watched_filter": {
        **_FILTER,
        "EBUSY": (
            "a filter around us is watched already (a container's, or another `--explain`), and the kernel takes one listener",
            "run it without --explain, or outside of what watches it",
        ),
        "EBADF": ("the plan is for --explain, and nobody listens", "run it by `sandboxer exec --explain`"),
        "EPIPE": ("whoever was to listen is gone", "run it again"),
        "ECONNRESET": ("whoever was to listen is gone", "run it again"),
        "EMFILE": ("no descriptor is left for the listener", "raise `limits.open_files`"),
    },
    "landlock_create": {**_LANDLOCK, "ENOMSG": ("no right is handled", _OURS)},
    "landlock_path": {
        **_LANDLOCK,
        **_LOOKUP,
        "ENOENT": ("what the plan shows at this path is not there", "run again: the plan is made anew"),
        "ELOOP": _CHANGED,
        "EINVAL": ("the ruleset does not handle one of these rights, or a file is to have one of directories", _OURS),
        "EBADF": ("there is no ruleset in this slot", _OURS),
    },
    "landlock_port": {
        **_LANDLOCK,
        "EAFNOSUPPORT": ("the kernel has no TCP", "take the list of ports away"),
        "EINVAL": ("the ruleset does not handle one of these rights, or this is no port", _OURS),
    },
    "landlock_restrict": {
        **_LANDLOCK,
        "E2BIG": ("16 Landlock domains are stacked, and the ones around us count", "use fewer `restrict` layers"),
        "EPERM": ("a domain needs no_new_privs or CAP_SYS_ADMIN", "drop the override of `process.no_new_privs`"),
    },
    "set_exec_label": {
        "ENOENT": ("no AppArmor profile of that name is loaded", "sandboxer policy install PROFILE, as root"),
        "ESTALE": (
            "the AppArmor profile of that name is loaded in another mode",
            "sandboxer policy install PROFILE, as root",
        ),
        "EISNAM": (
            "a standard stream is a file of the host, and AppArmor would take it away without a word",
            "a pipe: `cat FILE | sandboxer exec ... | cat > FILE`",
        ),
        "EACCES": ("the AppArmor profile of this caller does not let it choose another", "start it unconfined"),
        "EPERM": ("the AppArmor profile of this caller does not let it choose another", "start it unconfined"),
        "EINVAL": ("AppArmor is not in use, or this is no name of a profile", "apparmor: {enforce: best_effort}"),
    },
    "set_exec_context": {
        "EINVAL": ("SELinux's policy has no such context, or is not in use", "sandboxer policy install PROFILE, as root"),
        "ENOENT": ("the kernel has no security module with labels", "selinux: {enforce: best_effort}"),
        "ESTALE": ("the kernel noted another context than was asked for", "write the context as the kernel shows it"),
        "EISNAM": (
            "a standard stream is a file of the host, and SELinux would take it away without a word",
            "a pipe: `cat FILE | sandboxer exec ... | cat > FILE`",
        ),
        "EACCES": ("SELinux does not let this caller choose a context", "start it from an unconfined login"),
        "EPERM": ("SELinux does not let this caller choose a context", "start it from an unconfined login"),
    },
    "label_mounts": {"EBADMSG": ("the plan names no context", _OURS)},
    "clear_work": {
        "ENOTEMPTY": ("something else was put there", "look into it and remove it by hand"),
        "ENOENT": ("the directory is gone", "nothing to mend"),
        "EACCES": ("the directory belongs to somebody else", "remove it by hand, as its owner"),
        "EPERM": ("what the kernel left belongs to another id of the box", "nothing to mend: the next run uses it again"),
        "EBUSY": ("another box still uses it", "a `keep` directory for each box"),
        "EROFS": ("it is on a read-only file system", "nothing to mend"),
        "ENOTDIR": ("it is no directory", "look at it and remove it by hand"),
        "ELOOP": ("a symbolic link stands on the way", "a directory in place of the link"),
    },
    "make_group": {
        "ENOENT": ("the caller's control group is gone, or the hierarchy is not mounted there any more", _CHECK),
        "EACCES": ("the caller's control group belongs to somebody else", _CHECK),
        "EPERM": ("the caller's control group belongs to somebody else", _CHECK),
        "EROFS": ("the hierarchy of control groups is mounted read-only", "mount it for writing, or run where it is"),
        "EXDEV": ("the caller's control group lies outside of what the hierarchy shows here", _CHECK),
        "EAGAIN": ("the caller's control group may have no more groups below it", "raise cgroup.max.descendants"),
        "ENOMEM": ("no memory for another control group", "close something, and run it again"),
        "EBUSY": (
            "the group above has processes of its own by now, and cannot pass controllers on",
            "start it in a group of its own",
        ),
    },
    "allow_devices": {
        "EPERM": ("the kernel, or a filter around us, forbids device programs", _CHECK),
        "EACCES": ("the kernel's verifier refuses the program", _OURS),
        "EINVAL": ("the kernel has no device programs (CONFIG_CGROUP_BPF)", _CHECK),
        "ENOSYS": ("the kernel has no bpf(2)", _CHECK),
        "ENOMEM": ("no memory for the program", "close something, and run it again"),
        "E2BIG": ("too many devices are named", "a directory of them"),
    },
    "write_group": {
        "ENOENT": ("the kernel has no such file for this group: it is too old, or a controller is missing", _CHECK),
        "EACCES": ("the caller's control group belongs to somebody else", _CHECK),
        "EPERM": ("a group above allows less than that", "look into the groups of the caller, or ask for less"),
        "EINVAL": ("the kernel does not take that value", "another value"),
        "EBUSY": ("the group uses more than that already", "a higher limit"),
        "ERANGE": ("the kernel does not take that value", "another value"),
        "ENOSPC": ("a group above has no CPU or memory node for this one", "look into cpuset.cpus of the groups of the caller"),
        "ENODEV": ("there is no such device", "name a block device that is there"),
        "EOPNOTSUPP": ("the kernel cannot limit that", _CHECK),
    },
    "enter_groups": {
        "EAGAIN": ("a group has no room for one more process", "a higher limit of processes"),
        "ENOMEM": ("the box's group has no memory to begin with", "a higher limit of memory"),
        "ENOSPC": ("the group has no CPU or memory node", _OURS),
        "EACCES": ("the kernel does not let the child into the group", _CHECK),
        "EPERM": ("the kernel does not let the child into the group", _CHECK),
    },
    "delegate_group": {
        "EPERM": ("the control group, or its files, cannot be given to that id", _CHECK),
        "EACCES": ("the box's control group belongs to somebody else", _CHECK),
        "EINVAL": ("that id is not mapped here", "another `ids.outside`"),
        "EAGAIN": ("the box's control group may have no more groups below it", "raise cgroup.max.descendants"),
        "ENOMEM": ("no memory for another control group", "close something, and run it again"),
        "ENOENT": ("the kernel lacks a controller that it had when the plan was made", _CHECK),
    },
    "kill_by_group": {"EBADF": ("the plan names a control group that it does not make", _OURS)},
    "arm_cpu_clock": {"EINVAL": ("the limit is none, or longer than can be counted", "a shorter limit")},
    "limit_output": {"EMFILE": ("this process has no descriptor left", "raise `ulimit -n`")},
    "read_counter": {"EBADMSG": ("the plan names a counter or a group that there is not", _OURS)},
    "read_spaces": {"EIO": ("a file system of the box cannot be read", "see `dmesg`")},
    "remove_groups": {
        "EBUSY": ("something still runs in it", "look into its cgroup.procs"),
        "ENOENT": ("it is gone already", "nothing to mend"),
    },
    "sweep_groups": {"EBADMSG": ("the plan names hierarchies in another way than the launcher reads them", _OURS)},
    "remove_directory": {
        "ENOTEMPTY": ("something else was put there", "look into it and remove it by hand"),
        "ENOENT": ("it is gone already", "nothing to mend"),
        "EACCES": ("it belongs to somebody else", "remove it by hand, as its owner"),
        "EPERM": ("it belongs to somebody else", "remove it by hand, as its owner"),
        "EBUSY": ("something is mounted on it", "umount it first"),
        "EROFS": ("it is on a read-only file system", "nothing to mend"),
        "ENOTDIR": ("it is no directory", "look at it and remove it by hand"),
    },
    "execve": _STARTING,
    "launch": {
        "ENOENT": ("the launcher was not built with this installation", "make build, or install a wheel"),
        "EACCES": ("the launcher may not be executed: no execute bit, or a noexec mount", "install it on a mount without noexec"),
        "EPERM": ("a security module or a filter around us forbids starting the launcher", _CHECK),
        "ENOEXEC": ("the launcher was built for another machine", "install sandboxer for this architecture"),
        "EAGAIN": _NAMESPACES["EAGAIN"],
        "ENOMEM": ("there is no memory for another process", "free some memory"),
        "EMFILE": ("this process has no descriptor left", "raise `ulimit -n`"),
        "EBADF": ("a descriptor to be passed on is not open", "open it first"),
    },
}

VARIANTS: Mapping[tuple[str, str], tuple[tuple[str, Row], ...]] = {
    ("mount_filesystem", "EPERM"): (
        (
            "mount proc ",
            (
                "mount too revealing: something covers part of /proc here (a container does that), and a new /proc would show it",
                "use `filesystem: {proc: none}`, or start the container with --security-opt systempaths=unconfined",
            ),
        ),
        (
            "mount sysfs ",
            (
                "a new /sys needs a network namespace of the same user namespace, and nothing covering the old one",
                "leave /sys out",
            ),
        ),
    ),
    ("mount_filesystem", "EINVAL"): (
        (
            "mount devpts ",
            (
                "the kernel does not take these options for a new devpts: its gid must be mapped",
                "use `ids: {group: ...}` as mapped",
            ),
        ),
        ("mount tmpfs ", ("the kernel does not take this size or mode for a tmpfs", "correct `size` or `mode`")),
    ),
    ("mount_filesystem", "ENODEV"): (("mount mqueue ", ("the kernel has no POSIX message queues", "leave the mount out")),),
}
"""Rows that hold only where the step's words begin so; they come before the ones above."""

GENERAL: Rows = {
    "EPERM": ("the kernel or a security module forbids it to this user", _CHECK),
    "EACCES": ("a file mode or a security module forbids it", "look at the owner and mode of the path, and at the audit log"),
    "ENOENT": ("something that it names does not exist", "correct the path"),
    "ENOSYS": ("the kernel is too old for it, or a filter around us hides it", _CHECK),
    "EINVAL": ("the kernel does not take these values", "use a newer kernel, or change the statement"),
    "ENOMEM": ("the kernel has no memory left for it", "free some memory"),
    "ENOSPC": ("a disk, a quota or a kernel limit is used up", "free some space, or raise the limit"),
    "EMFILE": ("this process has as many open files as it may", "raise `ulimit -n`"),
    "ENFILE": ("the whole machine has as many open files as it may", "raise fs.file-max"),
    "EAGAIN": ("a limit is reached for the moment (processes, memory locks)", "try again, or raise the limit"),
    "EINTR": ("a signal interrupted it", "try again"),
    "EIO": ("the device or the file system failed", "see `dmesg`"),
    "EROFS": ("the file system is read-only", "choose another place"),
    "EBUSY": ("it is in use", "end what uses it"),
    "ELOOP": ("too many symbolic links", "name the real path"),
    "ENOTDIR": ("a part of the path is no directory", "correct the path"),
    "ENAMETOOLONG": ("a path or a part of it is too long", "use a shorter path"),
    "ESTALE": ("the network file system lost this file", "mount it anew"),
    "EBADMSG": ("the launcher could not read its plan", _OURS),
    "EPROTO": ("the launcher could not read its plan", _OURS),
    "EFAULT": ("an address was wrong", _OURS),
    "EBADF": ("a descriptor is not open", _OURS),
    "EPIPE": ("the other side has ended", "see the first error"),
    "ESRCH": ("the process has ended already", "see the first error"),
    "ECHILD": ("the process has ended already", "see the first error"),
    "ECANCELED": ("the run was cancelled", ""),
    "EOPNOTSUPP": ("the file system or the kernel does not support it", "choose another place, or use a newer kernel"),
}
"""What an errno means where the step has no row of its own."""
