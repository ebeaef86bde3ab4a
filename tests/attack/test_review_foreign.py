"""A box that root starts has a host id that nobody else has: whoever shared it would own the box's user namespace."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.live.leaks import descendants
from tests.live.needs import needs
from tests.live.users import Installation, Person

PROFILE = "kind: profile\nname: mine\ndescription: One id for a box.\nextends: [python]\n"


def _job_of(supervisor: int) -> int:
    """The process of the command, once it runs: it alone is called `sleep`."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        for pid in descendants(supervisor):
            try:
                if Path(f"/proc/{pid}/comm").read_text() == "sleep\n":
                    return pid
            except OSError:
                continue
        time.sleep(0.01)
    raise AssertionError("the command never began")


@needs("root")
@pytest.mark.parametrize(("ids", "can_enter"), [("", False), ("ids: {outside: 65534}\n", True)])
def test_host_process_of_nobody_enters_only_a_box_of_nobody(
    caller: Person, installation: Installation, ids: str, can_enter: bool
) -> None:
    work = caller.directory(f"foreign-{int(can_enter)}")
    work.chmod(0o755)
    profile = work / ".sandboxer/profiles/mine.yaml"
    profile.parent.mkdir(parents=True)
    profile.write_text(PROFILE + ids)
    box = caller.start([installation.command, "exec", "--profile", "mine", "--", "sleep", "60"], cwd=work)
    try:
        look = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "ls", f"/proc/{_job_of(box.pid)}/cwd/"]
        assert (subprocess.run(look, capture_output=True).returncode == 0) is can_enter
    finally:
        box.terminate()
        box.communicate()
