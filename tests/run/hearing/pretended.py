"""An audit log that says what a test wants."""

from __future__ import annotations

import os

from sandboxer.kernel.audit.records import Record


class Log:
    """A log that can be polled and says this."""

    def __init__(self, *said: Record) -> None:
        self.said: list[Record | None] = list(said)
        self.is_overrun = False
        self.received = 0
        self.descriptor, self._other = os.pipe()
        os.write(self._other, b"x")

    def receive(self) -> tuple[bool, Record | None]:
        if not self.said:
            os.set_blocking(self.descriptor, False)
            try:
                os.read(self.descriptor, 1)
            except BlockingIOError:
                pass
            return False, None
        self.received += 1
        return True, self.said.pop(0)

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *what: object) -> None:
        os.close(self.descriptor)
        os.close(self._other)
