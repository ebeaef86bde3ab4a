"""What watches for leaks sees them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.live.leaks import adopt_orphans, descendants, read_traces, wait_until_gone


def test_unchanged_place_has_no_leftovers(tmp_path: Path) -> None:
    before = read_traces([tmp_path])
    assert wait_until_gone(before, [tmp_path]) == []


def test_living_child_is_a_leftover() -> None:
    before = read_traces()
    with subprocess.Popen(["sleep", "60"]) as child:
        left = wait_until_gone(before, limit_s=0)
        child.kill()
    assert left == [f"process {child.pid} sleep 60"]


def test_orphan_is_adopted_and_seen() -> None:
    adopt_orphans()
    before = descendants(os.getpid())
    subprocess.run(["sh", "-c", "setsid sleep 60 >/dev/null 2>&1 &"], check=True)
    (orphan,) = descendants(os.getpid()) - before
    os.kill(orphan, 9)
    os.waitpid(orphan, 0)


def test_new_file_and_lost_file_are_leftovers(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("")
    before = read_traces([tmp_path])
    (tmp_path / "old").unlink()
    (tmp_path / "new").write_text("")
    assert wait_until_gone(before, [tmp_path], limit_s=0) == [f"file {tmp_path}/new", f"lost file {tmp_path}/old"]


def test_open_descriptor_is_a_leftover(tmp_path: Path) -> None:
    before = read_traces()
    with open(tmp_path / "file", "w") as stream:
        assert wait_until_gone(before, limit_s=0) == [f"descriptor {stream.fileno()} {tmp_path}/file"]
