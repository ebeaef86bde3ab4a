"""What came of a box as a value: made of the classes that an annotation names, and compared with it."""

from __future__ import annotations

from typing import Any

from sandboxer.calls.serving import MAIN
from sandboxer.calls.wire.caps import Caps
from sandboxer.calls.wire.declared import check, find_classes
from sandboxer.calls.wire.decode import decode
from sandboxer.calls.wire.frame import Frame


def classes_of(*annotations: Any) -> dict[str, type]:
    """The classes that these name, by the names that they have in the box: there the main program is called otherwise."""
    found: dict[str, type] = {}
    for annotation in annotations:
        found |= find_classes(annotation)
    return found | {f"{MAIN}{name.removeprefix('__main__')}": one for name, one in found.items() if name.startswith("__main__:")}


def read_value(frame: Frame, annotation: Any, caps: Caps) -> Any:
    """What a frame holds, which is what the annotation says. Raises: SerializationError."""
    value = decode(frame.text, frame.segments, classes_of(annotation), caps)
    check(value, annotation)
    return value
