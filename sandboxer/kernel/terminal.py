"""The caller's terminal as it was before a box had it. The launcher gives it back; this is for the day that it cannot."""

from __future__ import annotations

import os
import signal
import termios


class Terminal:
    """One terminal: its settings, and the process group in its foreground."""

    __slots__ = ("_descriptor", "_group", "_settings")

    def __init__(self, descriptor: int) -> None:
        """Remember the terminal. A job in the background stops here until it is brought to the front.

        Raises: OSError, termios.error.
        """
        self._descriptor = descriptor
        self._settings = termios.tcgetattr(descriptor)
        # The write that changes nothing is what asks for job control: tcsetattr(3), SIGTTOU.
        termios.tcsetattr(descriptor, termios.TCSANOW, self._settings)
        try:
            self._group = os.tcgetpgrp(descriptor)
        except OSError:
            self._group = 0  # it does not control us, and has no foreground that we could lose

    def give_back(self) -> None:
        """Put settings and foreground back. What cannot be put back has gone with the terminal."""
        masked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        try:
            if self._group:
                os.tcsetpgrp(self._descriptor, self._group)
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._settings)
        except (OSError, termios.error):
            pass
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)


def find_terminal() -> Terminal | None:
    """The first of the standard streams that is a terminal, as the launcher finds it."""
    for descriptor in (0, 1, 2):
        try:
            return Terminal(descriptor)
        except (OSError, termios.error):
            continue
    return None
