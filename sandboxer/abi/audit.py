"""The kernel's audit log on netlink: its messages by number. Source: include/uapi/linux/audit.h, linux/netlink.h."""

from __future__ import annotations

NETLINK_AUDIT = 9
NETLINK_ERROR = 2
READLOG_GROUP = 1  # AUDIT_NLGRP_READLOG

GET = 1000
SYSCALL = 1300
AVC = 1400
LANDLOCK_ACCESS = 1423
LANDLOCK_DOMAIN = 1424
