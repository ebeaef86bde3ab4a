"""What is agreed about a pool, what it says of itself, and how it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sandboxer.errors import SandboxerError
from sandboxer.run.said.options import Options, settle_options
from sandboxer.run.streams import MAX_OUTPUT_BYTES

Fresh = Literal["image", "exec"]
Reuse = Literal["never", "same-key"]


class PoolError(SandboxerError):
    """The pool takes no call: it is closed, or too many wait already. Nothing ran."""


@dataclass(frozen=True, slots=True)
class PoolStats:
    """What a pool did so far, and what it does now.

    calls: that were begun. from_image, from_exec: boxes that were started, by what their interpreter came from; from_root: of
    those from an image, with a copy of a root that was made once. reused: calls in a box that had served others with their key.
    died: boxes that ended by themselves while they waited. images: that were made; image_bytes: of memory, of those that are
    kept. running, waiting: calls now. spare, shared: boxes that wait, unused and not. refusal: why there is no image of the sort
    that was asked for last; empty if there is.
    """

    calls: int = 0
    from_image: int = 0
    from_root: int = 0
    from_exec: int = 0
    reused: int = 0
    died: int = 0
    images: int = 0
    image_bytes: int = 0
    running: int = 0
    waiting: int = 0
    spare: int = 0
    shared: int = 0
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Stocking:
    """How a pool keeps its boxes.

    preload: names of modules that every interpreter has loaded. max_output_bytes: of each output of a call. size: how many calls
    run at once; None: as many as are made. max_queue: how many may wait for their turn. spares: boxes to make ahead; None: one
    for each processor, two at most. fresh: what an interpreter comes from. reuse: whether calls with the same key may share a
    box; max_uses: how many. max_age: seconds until an image is made anew, and with it the secret of hashes and the layout of
    memory.
    """

    preload: tuple[str, ...] = ()
    max_output_bytes: int = MAX_OUTPUT_BYTES
    size: int | None = None
    max_queue: int = 1000
    spares: int | None = None
    fresh: Fresh = "image"
    reuse: Reuse = "never"
    max_uses: int = 1000
    max_age: float = 600.0

    def __post_init__(self) -> None:
        if self.fresh not in ("image", "exec"):
            raise ValueError(f"fresh is {self.fresh!r}, and may be 'image' or 'exec'")
        if self.reuse not in ("never", "same-key"):
            raise ValueError(f"reuse is {self.reuse!r}, and may be 'never' or 'same-key'")
        if isinstance(self.preload, str):
            raise TypeError(f"preload is a list of modules, and not one: [{self.preload!r}]")
        object.__setattr__(self, "preload", tuple(self.preload))
        for name in ("max_output_bytes", "size", "max_queue", "spares", "max_uses"):
            found = getattr(self, name)
            if type(found) is not int and not (found is None and name in ("size", "spares")):
                raise TypeError(f"{name} is {found!r:.60}, and may be a whole number")
        if self.max_output_bytes < 0 or self.max_age <= 0:
            raise ValueError("max_output_bytes is at least 0, and max_age more than 0")
        if (self.size is not None and self.size < 1) or self.max_queue < 0 or self.max_uses < 1 or (self.spares or 0) < 0:
            raise ValueError("size and max_uses are at least 1, max_queue and spares at least 0")


def settle_pool_options(options: Mapping[str, object]) -> Options:
    """As `settle_options`. Raises: TypeError, ValueError for what is no option of a profile."""
    for name in options:
        if name in Stocking.__dataclass_fields__:
            raise TypeError(f"{name} is said of the stocking: stocking=Stocking({name}=...)")
    return settle_options(options)
