"""Freezes itself, for tests of the image module: argv is the module, the image to write, a name below, and modules to load.

The process that goes on from the image prints one line of JSON. It runs in any interpreter, without a box.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.machinery
import importlib.util
import json
import mmap
import os
import signal
import sys
import threading
import time
from pathlib import Path

MADV_WIPEONFORK, MADV_DONTFORK, MADV_GUARD_INSTALL = 18, 10, 102  # include/uapi/asm-generic/mman-common.h
PAGES = 4


def go_on(case: str, kept: dict) -> object:
    """What the resumed process finds."""
    if case == "ordinary":
        thread = threading.Thread(target=kept["list"].append, args=(len(kept["list"]),))
        thread.start()
        thread.join()
        made = bytearray(40_000_000)
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            os.write(write, b"child")
            os._exit(0)
        os.waitpid(pid, 0)
        caught = []
        signal.signal(signal.SIGUSR1, lambda number, _: caught.append(number))
        os.kill(os.getpid(), signal.SIGUSR1)
        return [kept["list"], len(made), os.read(read, 9).decode(), caught, count_down(900), time.time() > 1e9, kept["float"] * 3]
    if case == "ids":
        name = Path("/proc/self/comm").read_text().strip()
        return {
            "pid": os.getpid(),
            "thread": threading.get_native_id(),
            "name": name,
            "ignored": signal.getsignal(signal.SIGUSR2) == 1,
        }
    if case == "memory":
        return {name: bytes(kept[name][: 4096 * PAGES : 4096]).hex() for name in ("kept", "wiped")}
    if case == "large":
        return [kept["large"][0], kept["large"][-1], sum(kept["large"][::4096])]
    if case == "guarded":
        pid = os.fork()
        if not pid:
            ctypes.string_at(kept["address"], 1)
            os._exit(0)
        return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), ctypes.string_at(kept["address"] + 4096, 1).decode()]
    if case == "protections":
        return [kept["protections"], protections()]
    if case == "deep":
        return [kept["depth"], dive(1200)]
    if case == "library":
        numpy = kept["modules"][0]
        return [float(numpy.ones((200, 200)).dot(numpy.ones((200, 200))).sum()), int(numpy.arange(10).sum())]
    raise ValueError(case)


def count_down(depth: int) -> int:
    return 0 if not depth else 1 + count_down(depth - 1)


def dive(depth: int) -> int:
    """Deep in C: each level is a call of `sorted`, which calls back."""
    return 0 if not depth else sorted([1], key=lambda _: dive(depth - 1) + 1) and depth


def protections() -> dict[str, int]:
    """Bytes that are mapped from files, by their protection."""
    found: dict[str, int] = {}
    for line in Path("/proc/self/maps").read_text().splitlines():
        where, kind, *_, name = line.split()
        if name.startswith("/"):
            begin, end = (int(part, 16) for part in where.split("-"))
            found[kind[:3]] = found.get(kind[:3], 0) + end - begin
    return found


def prepare(case: str) -> dict:
    """What there is to keep."""
    kept: dict = {"list": [], "float": 0.5}
    if case == "ids":
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    if case == "memory":
        for name in ("kept", "wiped"):
            kept[name] = mmap.mmap(-1, 4096 * PAGES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            kept[name][:] = b"\x07" * len(kept[name])
        kept["wiped"].madvise(MADV_WIPEONFORK)
    if case == "large":
        kept["large"] = bytearray(200 << 20)
        kept["large"][0] = kept["large"][-1] = kept["large"][100 << 20] = 3
    if case == "guarded":
        kept["map"] = mmap.mmap(-1, 4096 * 64, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        kept["address"] = ctypes.addressof(ctypes.c_char.from_buffer(kept["map"]))
        kept["map"][:] = b"x" * len(kept["map"])
        kept["map"].madvise(MADV_GUARD_INSTALL, 0, 4096)
    if case == "protections":
        kept["protections"] = protections()
    if case == "deep":
        sys.setrecursionlimit(100_000)
        kept["depth"] = dive(1200)
    if case == "shared":
        file = os.open(sys.argv[2] + ".shared", os.O_RDWR | os.O_CREAT)
        os.ftruncate(file, 4096)
        kept["map"] = mmap.mmap(file, 4096, mmap.MAP_SHARED)
    return kept


def main() -> None:
    module, image, case, *names = sys.argv[1:]
    kept = prepare(case)
    kept["modules"] = [importlib.import_module(name) for name in names]
    loader = importlib.machinery.ExtensionFileLoader("_image", module)
    freezer = importlib.util.module_from_spec(importlib.util.spec_from_loader("_image", loader, origin=module))
    loader.exec_module(freezer)
    fd = os.open(image, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o755)
    pid = os.fork()
    if pid:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    answer = freezer.freeze(fd)
    if answer == -1:
        print(json.dumps(go_on(case, kept)), flush=True)
        os._exit(7)
    os._exit(answer)


if __name__ == "__main__":
    main()
