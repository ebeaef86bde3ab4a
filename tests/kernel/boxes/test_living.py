"""What processes below one use: children of every thread, and theirs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from sandboxer.kernel.boxes.living import look_at

SPIN = "import sys\nheld = bytearray(20 << 20)\nfor _ in range(3_000_000): pass\nprint(1, flush=True)\nsys.stdin.read()"


def test_children_of_every_thread_are_counted() -> None:
    found: list[subprocess.Popen[bytes]] = []
    gate = threading.Event()

    def start() -> None:
        found.append(subprocess.Popen([sys.executable, "-c", SPIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        gate.wait()

    before = look_at(os.getpid())
    thread = threading.Thread(target=start)
    thread.start()
    while not found:
        pass
    assert found[0].stdout is not None
    found[0].stdout.readline()
    moment = look_at(os.getpid())
    found[0].communicate()
    gate.set()
    thread.join()
    assert moment is not None
    assert moment.processes == (before.processes if before else 0) + 1
    assert moment.rss_bytes > 20 << 20
    assert moment.cpu_us > 0


def test_what_has_no_processes_is_gone() -> None:
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(child, 0)
    assert look_at(child) is None
