"""Records and plans' words that tests of run/ pretend."""

from __future__ import annotations

from sandboxer.launcher.record import FIELDS, MAGIC, Outcome
from sandboxer.model.place import Place
from sandboxer.model.policy import Override, Source
from sandboxer.model.report import Line, Report, Status
from sandboxer.run.about import About, ToldOption, ToldStep

PLACE = Place("profiles/test.yaml", 14, 9, "    - /srv")


def make_record(outcome: int = Outcome.EXITED, **numbers: int) -> dict[str, int]:
    return {**dict.fromkeys(FIELDS, 0), "magic": MAGIC, "outcome": outcome, **numbers}


def make_about(**limits: int) -> About:
    return About(
        profile="test",
        digest="blake2b:00",
        sources=(Source("test", "/p/test.yaml", "profile"),),
        options=(ToldOption("--read /srv", PLACE), ToldOption("--timeout 1s")),
        overrides=(Override("limits.memory", "the linker", PLACE, "2031-01-01"),),
        report=Report((Line("clocks", Status.WEAKENED, "no clocks", "time", "old", "new", PLACE),)),
        before=(ToldStep("Start", "start the child", "namespaces"),),
        inside=(
            ToldStep("CloseFds", "close every descriptor", "process"),
            ToldStep("OpenTree", "take /srv from the host", "filesystem", PLACE),
        ),
        after=(ToldStep("RemoveDirectory", "remove /work", "filesystem", PLACE),),
        **limits,
    )
