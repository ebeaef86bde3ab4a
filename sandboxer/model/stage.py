"""The order of things: every op of a plan belongs to one stage, and a list runs its stages from the first to the last.

Rooms name the stage of each op and never their neighbours; sorting by stage makes the order. Two schemes share these
stages. A caller with privilege builds the mounts as itself and enters the user namespace last (`IDENTITY_LATE`); an
ordinary user is in the user namespace from the start and maps its ids first (`IDENTITY_EARLY`).
"""

from __future__ import annotations

from enum import IntEnum, unique


@unique
class Stage(IntEnum):
    """Position of an op; within a stage ops keep the order in which their room gave them."""

    # before
    PREPARE = 10
    CLOCK = 20
    START = 30
    MEET = 40
    # inside
    ENTER = 95
    SESSION = 100
    IDENTITY_EARLY = 110
    JOIN = 120
    PRIVATE = 130
    SOURCES = 140
    ROOT = 150
    MOUNTS = 160
    SEAL = 170
    PIVOT = 180
    IDENTITY_LATE = 200
    HOST = 210
    NETWORK = 220
    LIMITS = 230
    PLACE = 240
    CAPABILITIES = 250
    INIT = 260
    TERMINAL = 270
    LABEL = 272
    LANDLOCK = 275
    FILTER = 280
    # after
    CLEAN = 400

    @property
    def list_name(self) -> str:
        """Which of the plan's lists the stage belongs to: before, inside or after."""
        if self < Stage.ENTER:
            return "before"
        return "inside" if self < Stage.CLEAN else "after"
