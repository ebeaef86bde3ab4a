"""The command section of a plan's wire format: what a run adds to a plan that was compiled before.

A plan that the cache keeps has no command. `seal` appends the candidates, the arguments and the environment, and patches
the header. Everything here is bytes; nothing heavy may be imported, since the warm path passes through.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MAGIC = b"SBXPLAN\x01"
HEADER_BYTES = 80
MAX_PLAN_BYTES = 8 << 20
FLAG_TERMINAL, FLAG_IN_PLACE = 1, 2
HOLE = b"c???,c???"
COMMAND_ENTRY_AT = 52  # after magic, total length, flags, and the entries of before, inside and after


class SealError(ValueError):
    """The command cannot be written into a plan; the text says why."""


def u32(number: int) -> bytes:
    """Four bytes, little endian."""
    return number.to_bytes(4, "little")


def encode_text(text: bytes) -> bytes:
    """Length, bytes, one NUL. Raises: SealError if the text holds a NUL of its own."""
    if b"\0" in text:
        raise SealError("a text of a plan cannot hold a NUL byte")
    return len(text).to_bytes(4, "little") + text + b"\0"


def encode_texts(texts: Iterable[bytes]) -> bytes:
    """A count, then the texts."""
    encoded = [encode_text(text) for text in texts]
    return u32(len(encoded)) + b"".join(encoded)


def seal(plan: bytes, candidates: Iterable[bytes], argv: Iterable[bytes], envp: Iterable[bytes]) -> bytes:
    """The same plan with its command: files to try in this order, arguments, environment.

    Raises: SealError if the plan has a command already, a text holds a NUL, or the whole is over 8 MiB.
    """
    if plan[:8] != MAGIC or len(plan) < HEADER_BYTES:
        raise SealError("these bytes are not a plan")
    if plan[COMMAND_ENTRY_AT + 8 : COMMAND_ENTRY_AT + 12] != b"\0\0\0\0":
        raise SealError("the plan has a command already")
    command = encode_texts(candidates) + encode_texts(argv) + encode_texts(envp)
    total = len(plan) + len(command)
    if total > MAX_PLAN_BYTES:
        raise SealError(f"arguments and environment make the plan {total} bytes long; at most {MAX_PLAN_BYTES} fit")
    entry = u32(len(plan)) + u32(len(command)) + u32(1)
    return b"".join((
        MAGIC, u32(total), plan[12:COMMAND_ENTRY_AT], entry, plan[COMMAND_ENTRY_AT + 12 :], command,
    ))  # fmt: skip


def fill_holes(plan: bytes, holes: Iterable[int], text: bytes) -> bytes:
    """The plan with the same text in each of its holes, which is as long as they are. Raises: SealError for what is no hole."""
    filled = bytearray(plan)
    for at in holes:
        if len(text) != len(HOLE) or plan[at : at + len(HOLE)] != HOLE:
            raise SealError(f"the plan has no hole for {len(text)} bytes at {at}")
        filled[at : at + len(HOLE)] = text
    return bytes(filled)


def find_candidates(name: bytes, search_path: bytes) -> list[bytes]:
    """The files that a command name may mean inside the box: itself if it holds a slash, else one for each PATH entry.

    Relative and empty PATH entries are left out: they would mean a directory that the job can write.
    """
    if b"/" in name:
        return [name]
    return [entry.rstrip(b"/") + b"/" + name for entry in search_path.split(b":") if entry.startswith(b"/")]


def make_environment(caller: dict[bytes, bytes], passed: Iterable[bytes], fixed: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    """`NAME=value` entries: the caller's variables that pass, then the fixed ones, which win.

    passed: a name; `PREFIX*` for every name that begins so; `!NAME` or `!PREFIX*` for names that no prefix lets pass;
    `NAME=value` for what a name has where the caller lacks it.
    """
    patterns = tuple(passed)
    fallbacks = dict(pattern.split(b"=", 1) for pattern in patterns if b"=" in pattern)
    names, prefixes = _split([pattern for pattern in patterns if not pattern.startswith(b"!")])
    held, held_prefixes = _split([pattern[1:] for pattern in patterns if pattern.startswith(b"!")])
    made = fallbacks | {
        name: value
        for name, value in caller.items()
        if name in names or (name.startswith(prefixes) and name not in held and not name.startswith(held_prefixes))
    }
    made.update(fixed)
    return [name + b"=" + value for name, value in made.items()]


def _split(patterns: list[bytes]) -> tuple[frozenset[bytes], tuple[bytes, ...]]:
    """Whole names, and the beginnings of those that end in `*`."""
    names = frozenset(pattern for pattern in patterns if not pattern.endswith(b"*"))
    return names, tuple(pattern[:-1] for pattern in patterns if pattern.endswith(b"*"))
