"""`sandboxer.host`, as a function in a box sees it: what the caller lets it ask for. Outside of a box there is nothing to ask."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sandboxer.calls.wire.block import ANSWER

if TYPE_CHECKING:
    from sandboxer.calls.channel import Channel


class HostRefusal(RuntimeError):
    """The caller refuses what a box asked for. A host function that raises it has its text cross; no other text does."""


class Host:
    """The host functions by their names: `host.search("x")`. It is one for all threads of a function."""

    __slots__ = ("_channel", "_names")

    def __init__(self) -> None:
        self._channel: Channel | None = None
        self._names: dict[str, int] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        channel, most_bytes = self._channel, self._names.get(name)
        if channel is None or most_bytes is None:
            known = (
                f"it may ask for {', '.join(sorted(self._names)) or 'nothing'}" if channel else "there is none outside of a box"
            )
            raise AttributeError(f"no host function {name}: {known}")

        def ask(*arguments: Any, **keywords: Any) -> Any:
            return _ask(channel, name, most_bytes, [list(arguments), keywords])

        ask.__name__ = ask.__qualname__ = name
        return ask

    def __dir__(self) -> list[str]:
        return sorted(self._names)


host = Host()


def attach(channel: Channel | None, names: dict[str, int]) -> None:
    """A call begins, whose function may ask for these; or it is over (None). names: with the bytes that a question may have."""
    host._channel = channel
    host._names = names


def _ask(channel: Channel, name: str, most_bytes: int, content: list[Any]) -> Any:
    from sandboxer.calls.wire.encode import encode
    from sandboxer.calls.wire.frame import ASK, Frame

    sent = encode(content)
    size = Frame(ASK, sent.text, sent.segments).content_bytes
    if size > most_bytes:
        raise HostRefusal(f"{name}: {size} bytes of arguments are more than {most_bytes}")
    kind, said = channel.ask(ASK, f"{name}\n".encode() + sent.text, sent.segments)
    if kind == ANSWER:
        return said
    raise _made(*said)


def _made(kind: str, text: str) -> BaseException:
    found = HostRefusal if kind == "HostRefusal" else getattr(builtins, kind, RuntimeError)
    try:
        error: BaseException = found(text)
    except TypeError:  # it takes more than a text
        error = RuntimeError(f"{kind}: {text}")
    return error
