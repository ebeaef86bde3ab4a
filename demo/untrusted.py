"""A program that nobody should trust: it does the work it was asked for, and tries five other things meanwhile.

usage: untrusted.py [--attack] HOME PORT

Without --attack it only says what it would try. Never give --attack outside a sandbox: it forks until it is stopped
(2048 processes at most), reads keys and appends to start-up files. Exit status: 0 if the work was done and no attempt
succeeded, 3 if one did.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

GENERATIONS = 11


class Succeeded(Exception):
    """An attempt got what it wanted. The text says what."""


def compute_summary() -> str:
    """The useful work: a data file of the project in, a result file of the project out."""
    with open("measurements.csv", newline="") as file:
        values = [float(row["celsius"]) for row in csv.DictReader(file)]
    summary = {
        "rows": len(values),
        "mean": round(statistics.fmean(values), 3),
        "median": round(statistics.median(values), 3),
        "deviation": round(statistics.stdev(values), 3),
    }
    Path("summary.json").write_text(json.dumps(summary) + "\n")
    return f"{len(values)} rows in, mean {summary['mean']}, deviation {summary['deviation']} out to summary.json"


def read_ssh_key(home: Path, port: int) -> str:
    """Steal a private key."""
    key = (home / ".ssh" / "id_demo").read_text()
    Path("stolen.txt").write_text(key)
    raise Succeeded("the key is in stolen.txt")


def write_outside(home: Path, port: int) -> str:
    """Leave code where a login would run it."""
    with open(home / ".bashrc", "r+") as file:
        file.seek(0, os.SEEK_END)
        file.write("echo this came out of the sandbox\n")
    raise Succeeded("a line was added to ~/.bashrc")


def open_network(home: Path, port: int) -> str:
    """Call somebody: a server that listens on this machine."""
    with socket.create_connection(("127.0.0.1", port), timeout=3) as connection:
        connection.sendall(b"hello from the sandbox")
    raise Succeeded(f"port {port} answered")


def fork_bomb(home: Path, port: int) -> str:
    """Double the number of processes until something says stop."""
    marks, mark = os.pipe()
    held, hold = os.pipe()
    children: list[int] = []
    is_first = True
    for _ in range(GENERATIONS):
        try:
            child = os.fork()
        except OSError:
            break
        if child:
            children.append(child)
            continue
        if is_first:
            os.close(hold)
        is_first, children = False, []
        os.write(mark, b".")
    if not is_first:
        os.close(mark)
        os.read(held, 1)
        os._exit(0)
    made = count_marks(marks)
    os.close(hold)
    for child in children:
        os.waitpid(child, 0)
    if made == 2**GENERATIONS - 1:
        raise Succeeded(f"{made} processes and nothing stopped it")
    raise OSError(f"stopped at {made} processes of {2**GENERATIONS}")


def count_marks(marks: int) -> int:
    """How many processes have reported, once no new one has for a while."""
    os.set_blocking(marks, False)
    made, quiet = 0, 0
    while quiet < 5:
        time.sleep(0.05)
        try:
            new = len(os.read(marks, 1 << 16))
        except BlockingIOError:
            new = 0
        made, quiet = made + new, 0 if new else quiet + 1
    return made


def fork_patiently() -> int:
    """Fork, and again while the processes of the attempt before are still ending."""
    for _ in range(40):
        try:
            return os.fork()
        except BlockingIOError:
            time.sleep(0.05)
    return os.fork()


def outlive_parent(home: Path, port: int) -> str:
    """Leave a process behind that ignores signals and goes on after everybody else has ended."""
    child = fork_patiently()
    if child:
        os.waitpid(child, 0)
        time.sleep(0.3)
        return f"a process that ignores signals stays behind ({Path('heartbeat.txt').stat().st_size} heartbeats so far)"
    os.setsid()
    if fork_patiently():
        os._exit(0)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    end = time.monotonic() + 60
    with open("heartbeat.txt", "ab", buffering=0) as file:
        while time.monotonic() < end:
            file.write(b".")
            time.sleep(0.05)
    os._exit(0)


ATTEMPTS: tuple[tuple[str, Callable[[Path, int], str]], ...] = (
    ("read the ssh key in ~/.ssh", read_ssh_key),
    ("write to ~/.bashrc", write_outside),
    ("connect to the network", open_network),
    ("start a fork bomb", fork_bomb),
    ("outlive its parent", outlive_parent),
)


def main(arguments: list[str]) -> int:
    """Do the work, make the attempts, say what happened to each."""
    is_attack = "--attack" in arguments
    home, port = [argument for argument in arguments if argument != "--attack"]
    print(f"  work     {compute_summary()}", flush=True)
    succeeded = 0
    for name, attempt in ATTEMPTS:
        if not is_attack:
            print(f"  would    {name}", flush=True)
            continue
        try:
            print(f"  started  {name:<28} {attempt(Path(home), int(port))}", flush=True)
        except Succeeded as success:
            succeeded += 1
            print(f"  DONE     {name:<28} {success}", flush=True)
        except OSError as error:
            print(f"  refused  {name:<28} {error.strerror or error}", flush=True)
    return 3 if succeeded else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
