"""A machine that runs: qemu, its monitor, its console, and the port that its job is spoken about on."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tests.vm.boot import Boot, Parts, qemu_words
from tests.vm.guest.machine import EXIT, HEAD, READY

BOOT_LIMIT_S = 300.0
"""Generous: a busy machine boots several times slower."""


class MachineError(Exception):
    """The machine ended, or never came up. The message has what its console said."""


class Machine:
    """One qemu, from the start to the end of a `with`. It ends with this process, however this process ends."""

    def __init__(self, boot: Boot, parts: Parts, saved: Path | None = None) -> None:
        """Start it. saved: a machine of the same boot and parts to go on from."""
        with ExitStack() as stack:
            self._job, job = _pair(stack)
            self._monitor, monitor = _pair(stack)
            self._console: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())
            inherited = (job.fileno(), monitor.fileno(), *_descriptors(parts))
            words = qemu_words(boot, parts, job=job.fileno(), monitor=monitor.fileno(), saved=saved)
            self._qemu = subprocess.Popen(
                ["setpriv", "--pdeathsig=KILL", "--", *words], pass_fds=inherited,
                stdin=subprocess.DEVNULL, stdout=self._console, stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us alone; we end it
            )  # fmt: skip
            job.close()
            monitor.close()
            self._stack = stack.pop_all()
        self._job.settimeout(BOOT_LIMIT_S)
        self._replies: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._qemu.kill()
        self._qemu.wait()
        self._stack.close()

    @property
    def console(self) -> str:
        """What the kernel, and qemu itself, have said so far."""
        self._console.seek(0)
        return self._console.read().decode(errors="replace").replace("\r\n", "\n").strip()

    def wait_until_ready(self) -> None:
        """Wait for the agent. Raises: MachineError."""
        kind, _ = self._receive()
        if kind != READY:
            raise MachineError(f"the guest began with {kind!r}")
        self._job.settimeout(None)

    def run(self, job: dict[str, object], take: Callable[[bytes, bytes], None]) -> int:
        """Run the one job of this machine. take: is given each message, its kind and its bytes. The status of the command."""
        self._job.settimeout(None)
        data = json.dumps({**job, "seconds": time.time()}).encode()
        self._send(HEAD.pack(b"j", len(data)) + data)
        while True:
            kind, data = self._receive()
            if kind == EXIT:
                return int(data)
            if kind != READY:
                take(kind, data)

    def save(self, path: Path) -> None:
        """Write the running machine to a file; it stands still afterwards. Raises: MachineError."""
        self._ask("migrate-set-parameters", {"max-bandwidth": 1 << 40})
        self._ask("migrate", {"uri": f"exec:cat > {path}"})
        while (status := self._ask("query-migrate")["status"]) != "completed":
            if status in ("failed", "cancelled"):
                raise MachineError(f"the machine could not be saved: {status}\n{self.console}")
            time.sleep(0.02)

    def _ask(self, command: str, arguments: dict[str, object] | None = None) -> dict[str, object]:
        """One command of the monitor, in the QEMU Machine Protocol."""
        if self._replies is None:
            self._replies = self._stack.enter_context(self._monitor.makefile("rb"))
            self._replies.readline()  # the greeting
            self._ask("qmp_capabilities")
        self._monitor.sendall(json.dumps({"execute": command, "arguments": arguments or {}}).encode())
        for line in self._replies:
            reply: dict[str, dict[str, object]] = json.loads(line)
            if "error" in reply:
                raise MachineError(f"{command}: {reply['error']}")
            if "return" in reply:
                return reply["return"]
        raise MachineError(self._ended())

    def _send(self, data: bytes) -> None:
        try:
            self._job.sendall(data)
        except BrokenPipeError:
            raise MachineError(self._ended()) from None

    def _receive(self) -> tuple[bytes, bytes]:
        kind, count = HEAD.unpack(self._read(HEAD.size))
        return kind, self._read(count)

    def _read(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            try:
                more = self._job.recv(min(count - len(data), 1 << 20))
            except TimeoutError:
                raise MachineError(f"the machine did not come up within {BOOT_LIMIT_S:.0f} s\n{self.console}") from None
            except ConnectionResetError:
                more = b""
            if not more:
                raise MachineError(self._ended())
            data += more
        return bytes(data)

    def _ended(self) -> str:
        return f"the machine ended by itself; its console:\n{self.console}"


def _pair(stack: ExitStack) -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    return stack.enter_context(ours), stack.enter_context(theirs)


def _descriptors(parts: Parts) -> list[int]:
    """Those of the parts that are files without a name, given as /proc/self/fd/N."""
    paths = (parts.image, parts.initrd, parts.root, parts.modules, parts.tree)
    return [int(path.name) for path in paths if str(path.parent) == "/proc/self/fd"]


def memory_file(name: str, data: bytes = b"", size_bytes: int = 0) -> Path:
    """A file without a name that lasts as long as this process, as a path for programs that inherit it."""
    descriptor = os.memfd_create(name)
    os.ftruncate(descriptor, size_bytes)
    os.pwrite(descriptor, data, 0)
    return Path(f"/proc/self/fd/{descriptor}")
