"""`make demo`: run an untrusted program under the `python` profile, then look from outside whether anything got out.

The program gets a project of its own in a temporary home with a planted ssh key, a planted start-up file, and a server to
call. What the program says about itself is printed and not believed: every check below looks at the machine.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SANDBOXER = HERE.parent / ".venv" / "bin" / "sandboxer"
KEY = "planted key, 6f1d9e: not a real one"
WIDTH = 110
BASHRC = "# planted start-up file\n"


@dataclass(frozen=True, slots=True)
class Stage:
    """What the demonstration planted: a home with a key, a project in it, and a server that counts its callers."""

    home: Path
    project: Path
    server: socket.socket

    @property
    def port(self) -> int:
        port: int = self.server.getsockname()[1]
        return port


@contextmanager
def planted() -> Iterator[Stage]:
    """A stage in a temporary directory, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="sandboxer-demo-") as scratch, socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        home = Path(scratch) / "home"
        project = home / "project"
        (home / ".ssh").mkdir(parents=True, mode=0o700)
        project.mkdir()
        (home / ".ssh" / "id_demo").write_text(KEY)
        (home / ".bashrc").write_text(BASHRC)
        shutil.copy(HERE / "untrusted.py", project)
        draw = random.Random(1)
        rows = "".join(f"{number},{draw.gauss(20, 3):.2f}\n" for number in range(500))
        (project / "measurements.csv").write_text("hour,celsius\n" + rows)
        yield Stage(home, project, server)


def run(stage: Stage) -> tuple[int, dict[str, Any]]:
    """Run the program under the profile; its exit status and the report."""
    report = stage.home / "report.json"
    command = [str(SANDBOXER), "exec", "--profile", "python", "--timeout", "60s", "--report", str(report), "--"]
    command += ["python3", "untrusted.py", "--attack", str(stage.home), str(stage.port)]
    print("$ sandboxer exec --profile python --timeout 60s --report report.json -- python3 untrusted.py --attack\n", flush=True)
    environment = {**os.environ, "HOME": str(stage.home), "XDG_CACHE_HOME": str(stage.home.parent / "cache")}
    done = subprocess.run(command, cwd=stage.project, env=environment, check=False)
    text = report.read_text() if report.is_file() else ""
    return done.returncode, json.loads(text or "{}")


def is_still_running(stage: Stage) -> bool:
    """Whether a process that was started with the project's path, or from within it, is left."""
    token = str(stage.home).encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if token in (process / "cmdline").read_bytes() or os.readlink(process / "cwd").encode().startswith(token):
                return True
        except OSError:
            continue
    return False


def has_heartbeat(stage: Stage) -> bool:
    """Whether the file that the orphan writes to still grows."""
    file = stage.project / "heartbeat.txt"
    before = file.stat().st_size if file.exists() else 0
    time.sleep(0.5)
    return (file.stat().st_size if file.exists() else 0) != before


def was_called(stage: Stage) -> bool:
    """Whether anybody has connected to the server."""
    try:
        connection, _ = stage.server.accept()
    except BlockingIOError:
        return False
    connection.close()
    return True


def is_bait_real(stage: Stage) -> bool:
    """Whether somebody without walls around him gets what the program was refused: the key, and an answer."""
    with socket.create_connection(("127.0.0.1", stage.port), timeout=3):
        return (stage.home / ".ssh" / "id_demo").read_text() == KEY


def has_leaked_key(stage: Stage) -> bool:
    """Whether the key's text is in any file of the project."""
    return any(KEY.encode() in file.read_bytes() for file in stage.project.rglob("*") if file.is_file())


def read_summary(stage: Stage) -> int:
    """How many rows the program's result speaks of; 0 if there is no result."""
    try:
        rows: int = json.loads((stage.project / "summary.json").read_text())["rows"]
    except (OSError, ValueError, KeyError):
        return 0
    return rows


def check(stage: Stage, status: int) -> bool:
    """Print each thing that must hold, as seen from outside; whether all of them do."""
    strangers = {path.name for path in stage.home.iterdir()} - {".ssh", ".bashrc", "project", "report.json"}
    started = (stage.project / "heartbeat.txt").exists()
    facts = (
        ("the work was done: summary.json covers 500 rows", read_summary(stage) == 500),
        ("the key is in no file of the project", not has_leaked_key(stage)),
        ("nothing outside the project was written", (stage.home / ".bashrc").read_text() == BASHRC and not strangers),
        ("nobody called the server", not was_called(stage)),
        ("the orphan did run, and is dead now", started and not has_heartbeat(stage)),
        ("no process is left", not is_still_running(stage)),
        ("out here the key can be read, and the server answers", is_bait_real(stage)),
        ("the program says that no attempt succeeded (exit status 0)", status == 0),
    )
    for words, holds in facts:
        print(f"  {'yes' if holds else 'NO !':<8} {words}")
    return all(holds for _, holds in facts)


def show_report(report: dict[str, Any], home: Path) -> None:
    """Print what was enforced and what was used, as the result says it."""
    status = report.get("exit_code")
    print(f"  ended    {report.get('reason', 'no report was written')}" + ("" if status is None else f", exit status {status}"))
    if "usage" in report:
        show_usage(report["usage"], report["timings"])
    told: dict[str, list[str]] = {}
    for line in report.get("enforcement", []):
        lost = f" ({line['status']}: {line['lost']})" if line.get("lost") else ""
        told.setdefault(line["control"], []).append(line["what"] + lost)
    for control, facts in told.items():
        text = "; ".join(facts).replace(str(home), "~")
        print(
            textwrap.fill(
                text, WIDTH, initial_indent=f"  {control:<14}", subsequent_indent=" " * 16, max_lines=3, placeholder=" ..."
            )
        )
    for problem in report.get("problems", []):
        print(f"  problem  {problem['what']}")


def show_usage(usage: dict[str, int], timings: dict[str, int]) -> None:
    """What the box used, and how long its walls took to build and to take down."""
    cpu_s = (usage["user_us"] + usage["system_us"]) / 1e6
    print(f"  used     {usage['wall_us'] / 1e6:.2f} s, CPU {cpu_s:.2f} s, {usage['max_rss_bytes'] >> 20} MiB (largest process)")
    start_ms = (timings["prepare_us"] + timings["setup_us"]) / 1000
    print(f"  took     {start_ms:.2f} ms to start, {timings['end_us'] / 1000:.2f} ms to end everything")


def main() -> int:
    """0 if the work was done and nothing got out, else 1."""
    with planted() as stage:
        status, report = run(stage)
        print("\nSeen from outside:")
        is_good = check(stage, status)
        print("\nThe report:")
        show_report(report, stage.home)
    print("\nThe work was done and nothing got out." if is_good else "\nSOMETHING GOT OUT, or the work was not done.")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
