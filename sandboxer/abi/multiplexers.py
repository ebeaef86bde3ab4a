"""The calls that 32-bit x86 makes through another one: the first argument of socketcall and ipc says which.

Source: include/uapi/linux/net.h (SYS_*), include/uapi/linux/ipc.h. Filters cannot see further, since socketcall's arguments
lie in memory. These names serve to show a denied call; no rule is about i386.
"""

from typing import Final

SOCKETCALL: Final[dict[int, str]] = {
    1: "socket",
    2: "bind",
    3: "connect",
    4: "listen",
    5: "accept",
    6: "getsockname",
    7: "getpeername",
    8: "socketpair",
    9: "send",
    10: "recv",
    11: "sendto",
    12: "recvfrom",
    13: "shutdown",
    14: "setsockopt",
    15: "getsockopt",
    16: "sendmsg",
    17: "recvmsg",
    18: "accept4",
    19: "recvmmsg",
    20: "sendmmsg",
}

IPC: Final[dict[int, str]] = {
    1: "semop",
    2: "semget",
    3: "semctl",
    4: "semtimedop",
    11: "msgsnd",
    12: "msgrcv",
    13: "msgget",
    14: "msgctl",
    21: "shmat",
    22: "shmdt",
    23: "shmget",
    24: "shmctl",
}
"""Of the low 16 bits of `call`; the upper 16 are a version."""
