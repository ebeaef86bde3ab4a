"""How much may come over the wire. Whoever goes beyond one of these is refused before memory is taken for it."""

from __future__ import annotations

from sandboxer.errors import Problem, SandboxerError


class SerializationError(SandboxerError):
    """A value cannot cross, or bytes are none. `path` says where in the value: `[3].when`; None: it is about no value alone.

    It is raised on both sides, and is the only thing that decoding raises, whatever the bytes are.
    """

    def __init__(self, what: str, path: str | None = "") -> None:
        self.what = what
        self.path = path or ""
        super().__init__(Problem(what if path is None else f"{path or 'the value'}: {what}"))


class Caps:
    """text_bytes: of the JSON text. segment_bytes: of all segments. segments: how many there are. items: values of all kinds, in
    containers and out of them. depth: containers within each other. digits: of one whole number, in hexadecimal. same_hash: keys
    of a dict or members of a set with the same hash, which take the square of their number.
    """

    __slots__ = ("depth", "digits", "items", "same_hash", "segment_bytes", "segments", "text_bytes")

    def __init__(
        self,
        *,
        text_bytes: int = 16 << 20,
        segment_bytes: int = 1 << 30,
        segments: int = 10_000,
        items: int = 1_000_000,
        depth: int = 64,
        digits: int = 10_000,
        same_hash: int = 100,
    ) -> None:
        if text_bytes < 0:
            raise ValueError("no answer has less than 0 bytes")
        self.text_bytes = text_bytes
        self.segment_bytes = segment_bytes
        self.segments = segments
        self.items = items
        self.depth = depth
        self.digits = digits
        self.same_hash = same_hash

    @property
    def text_depth(self) -> int:
        """How deep the JSON may go: a container of a kind is an object, a list, and a list or object in it."""
        return 3 * self.depth + 3
