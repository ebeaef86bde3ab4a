"""Much memory is given back beside the work: the kernel frees a memfd at its last close, page by page. close(2)."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

MUCH_BYTES = 4 << 20
"""From here on freeing takes longer than starting a thread does."""


def close_sealed(descriptors: Sequence[int]) -> None:
    """Close descriptors of sealed memory. Where it is much, nobody waits for that but the end of the process."""
    if sum(os.fstat(descriptor).st_size for descriptor in descriptors) >= MUCH_BYTES:
        try:
            threading.Thread(target=_close_all, args=(descriptors,), name="sandboxer-close").start()
        except RuntimeError:  # no thread is left, or the interpreter is about to end
            pass
        else:
            return
    _close_all(descriptors)


def _close_all(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
