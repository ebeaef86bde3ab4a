"""Options of prctl(2). Source: include/uapi/linux/prctl.h."""

from __future__ import annotations

from enum import IntEnum, unique


@unique
class Prctl(IntEnum):
    """PR_*, without the prefix; options of one architecture only are left out."""

    SET_PDEATHSIG = 1
    GET_PDEATHSIG = 2
    GET_DUMPABLE = 3
    SET_DUMPABLE = 4
    GET_UNALIGN = 5
    SET_UNALIGN = 6
    GET_KEEPCAPS = 7
    SET_KEEPCAPS = 8
    GET_TIMING = 13
    SET_TIMING = 14
    SET_NAME = 15
    GET_NAME = 16
    GET_SECCOMP = 21
    SET_SECCOMP = 22
    CAPBSET_READ = 23
    CAPBSET_DROP = 24
    GET_TSC = 25
    SET_TSC = 26
    GET_SECUREBITS = 27
    SET_SECUREBITS = 28
    SET_TIMERSLACK = 29
    GET_TIMERSLACK = 30
    TASK_PERF_EVENTS_DISABLE = 31
    TASK_PERF_EVENTS_ENABLE = 32
    MCE_KILL = 33
    MCE_KILL_GET = 34
    SET_MM = 35
    SET_CHILD_SUBREAPER = 36
    GET_CHILD_SUBREAPER = 37
    SET_NO_NEW_PRIVS = 38
    GET_NO_NEW_PRIVS = 39
    GET_TID_ADDRESS = 40
    SET_THP_DISABLE = 41
    GET_THP_DISABLE = 42
    CAP_AMBIENT = 47
    GET_SPECULATION_CTRL = 52
    SET_SPECULATION_CTRL = 53
    SET_IO_FLUSHER = 57
    GET_IO_FLUSHER = 58
    SET_SYSCALL_USER_DISPATCH = 59
    SCHED_CORE = 62
    SET_MDWE = 65
    GET_MDWE = 66
    SET_MEMORY_MERGE = 67
    GET_MEMORY_MERGE = 68
    SET_VMA = 0x53564D41
    SET_PTRACER = 0x59616D61


@unique
class Ambient(IntEnum):
    """The second argument of PR_CAP_AMBIENT."""

    IS_SET = 1
    RAISE = 2
    LOWER = 3
    CLEAR_ALL = 4
