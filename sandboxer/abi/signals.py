"""Signals by number. Source: include/uapi/asm-generic/signal.h (x86-64 and arm64 agree with it), signal(7)."""

from __future__ import annotations

from enum import IntEnum, unique


@unique
class Signal(IntEnum):
    """The standard signals."""

    SIGHUP = 1
    SIGINT = 2
    SIGQUIT = 3
    SIGILL = 4
    SIGTRAP = 5
    SIGABRT = 6
    SIGBUS = 7
    SIGFPE = 8
    SIGKILL = 9
    SIGUSR1 = 10
    SIGSEGV = 11
    SIGUSR2 = 12
    SIGPIPE = 13
    SIGALRM = 14
    SIGTERM = 15
    SIGSTKFLT = 16
    SIGCHLD = 17
    SIGCONT = 18
    SIGSTOP = 19
    SIGTSTP = 20
    SIGTTIN = 21
    SIGTTOU = 22
    SIGURG = 23
    SIGXCPU = 24
    SIGXFSZ = 25
    SIGVTALRM = 26
    SIGPROF = 27
    SIGWINCH = 28
    SIGIO = 29
    SIGPWR = 30
    SIGSYS = 31


SIGNALS: dict[str, Signal] = dict(Signal.__members__)
"""By name: `SIGTERM`."""

SIGRTMIN = 32
SIGRTMAX = 64
