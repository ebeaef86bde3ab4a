"""A function to be called in boxes of other processes, on this machine or another: what schedulers can send around.

All that there is of it outside of a box are bytes. Who sends it on, keeps it or calls it never makes a function of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar

from sandboxer.calls.boxes.pool import shared_pool
from sandboxer.calls.boxes.stocking import Stocking
from sandboxer.calls.call import Terms
from sandboxer.calls.decorator import Sandboxed
from sandboxer.calls.executor.naming import Task, annotation_of
from sandboxer.calls.request import Pickled, pickle_function
from sandboxer.calls.wire.caps import Caps
from sandboxer.run.said.options import Options

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class BoxTask(Generic[P, R]):
    """Called, it calls its function in a box of the process that it is in, and gives its value. It can be pickled.

    profile, stocking, options: of the pool that the process has for all tasks with the same. annotation: of what is returned.
    """

    name: str
    function: Pickled
    annotation: Any
    profile: str
    stocking: Stocking
    options: Options
    max_answer_bytes: int

    @property
    def __name__(self) -> str:
        """What schedulers show."""
        return self.name

    def __call__(self, *arguments: P.args, **keywords: P.kwargs) -> R:
        """Wait for the value. Raises: as a function that is `sandboxed`."""
        pool = shared_pool(self.profile, self.stocking, self.options)
        terms = Terms(Caps(text_bytes=self.max_answer_bytes), pool, self.function.data)
        value: R = Task(self.function, arguments, keywords, self.annotation).run(terms).unwrap()
        return value


def box_task(
    function: Callable[P, R],
    *,
    profile: str | os.PathLike[str] = "python",
    stocking: Stocking | None = None,
    max_answer_bytes: int = 16 << 20,
    **options: Any,
) -> BoxTask[P, R]:
    """Make a task of a function. The profile is that of the machine where it is called.

    A function of a module goes by its name, and only the box imports the module. One of the main program goes by value. Classes
    that the annotation names are those of whoever calls it: there they are imported.
    Raises: SerializationError for what cannot be pickled, or without cloudpickle; TypeError for one that is sandboxed.
    """
    if isinstance(function, Sandboxed):
        raise TypeError(f"{function.local.__qualname__} is sandboxed, on terms of its own: give its local")
    unknown = next((name for name in options if name not in Options.__annotations__), None)
    if unknown:
        raise TypeError(f"box_task() got an unexpected keyword argument {unknown!r}")
    name = getattr(function, "__name__", None) or type(function).__name__
    pickled, annotation = pickle_function(function), annotation_of(function)
    given: Any = options
    return BoxTask(name, pickled, annotation, os.fspath(profile), stocking or Stocking(), given, max_answer_bytes)
