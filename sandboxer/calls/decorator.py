"""`@sandboxed`: a function whose body runs in a box, each call in a fresh one."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MethodType
from typing import Any, Concatenate, Generic, Literal, ParamSpec, Protocol, Self, TypeVar, overload

from sandboxer.calls.boxes.pool import Pool, shared_pool
from sandboxer.calls.boxes.stocking import Fresh, Reuse, Stocking
from sandboxer.calls.call import Call, Terms, make_call, run_call
from sandboxer.calls.future import CallFuture, Stop, await_call, run_many
from sandboxer.calls.request import pack_call
from sandboxer.calls.talk.conversation import Window
from sandboxer.calls.talk.generator import BoxedAsyncGenerator, BoxedGenerator
from sandboxer.calls.talk.host import HostFunction, read_functions
from sandboxer.calls.talk.items import Stream
from sandboxer.calls.talk.reading import read_value
from sandboxer.calls.wire.caps import Caps
from sandboxer.calls.wire.declared import hints_of, parts_of_generator
from sandboxer.run.streams import MAX_OUTPUT_BYTES

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
T = TypeVar("T")
Binds = Literal["object", "class", "nothing"]


class Sandboxed(Generic[P, R]):
    """A function that runs in a box when it is called.

    What it returns must be of the kinds of values that can cross, and is compared with its annotation. What it prints is in the
    result of `call`, and nowhere else.
    """

    def __init__(self, function: Callable[P, R], terms: Terms, binds: Binds = "object") -> None:
        """binds: what goes with the arguments where it is looked up by an object or by its class."""
        functools.update_wrapper(self, function)
        self.local: Callable[P, R] = function
        """The function itself, without a box."""
        self._is_async = inspect.iscoroutinefunction(function)
        self._generator = _generator_of(function)
        self._terms = terms
        self._binds = binds
        self._bound: tuple[Any, ...] = ()

    @overload
    def __get__(self, instance: None, owner: type) -> Sandboxed[P, R]: ...
    @overload
    def __get__(self: Sandboxed[Concatenate[T, Q], R], instance: T, owner: type | None = None) -> Sandboxed[Q, R]: ...
    def __get__(self, instance: Any, owner: type | None = None) -> Sandboxed[Any, R]:
        """A method: the object goes into the box as the first argument does, and what is done to it there stays there."""
        first = (type(instance) if owner is None else owner) if self._binds == "class" else instance
        if first is None or self._binds == "nothing":
            return self
        bound: Sandboxed[Any, R] = self._copy()
        bound._bound = (first,)
        bound.local = MethodType(self.local, first)
        return bound

    def __reduce__(self) -> Any:
        """By its name, as a function goes; a bound one by its object and its name there. Raises: TypeError."""
        name = getattr(self.local, "__name__" if self._bound else "__qualname__", "")
        if not name or (self._bound and getattr(getattr(self._bound[0], name, None), "_terms", None) is not self._terms):
            raise TypeError(f"cannot pickle {self!r}: it has no name to go by")
        return (getattr, (self._bound[0], name)) if self._bound else name

    def __repr__(self) -> str:
        name = getattr(self.local, "__qualname__", None)
        return f"<sandboxed {self.local.__module__}.{name}>" if name else f"<sandboxed {self.local!r}>"

    def __call__(self, *arguments: P.args, **keywords: P.kwargs) -> R:
        """Call it in a box. Raises: what went wrong; what the function raised is a RemoteError of the same builtin class.

        A function that is `async def` is one still: this is what to await then, and `call`, `submit` and `map` give its value.
        One that yields gives a generator, or an asynchronous one, and has none of those.
        """
        if self._generator is not None:
            return self._generator(self._open(arguments, keywords))  # type: ignore[return-value]  # R is an iterator then
        if self._is_async:
            return self.aio(*arguments, **keywords)  # type: ignore[return-value]  # R is a coroutine then
        return self.call(*arguments, **keywords).unwrap()

    def call(self, *arguments: P.args, **keywords: P.kwargs) -> Call[R]:
        """The same, with the result of the box, and with the error as a value.

        Raises: ProfileError, HostError, and SerializationError for arguments that cannot cross; nothing ran then.
        """
        return self._start(arguments, keywords)

    def submit(self, *arguments: P.args, **keywords: P.kwargs) -> CallFuture[R]:
        """Begin a call and go on. Its future's `cancel` kills the box; what `call` would raise is its exception too."""
        return CallFuture(lambda stop: self._start(arguments, keywords, stop.fd))

    def map(
        self, *columns: Iterable[Any], concurrency: int | None = None, ordered: bool = True, return_exceptions: bool = False
    ) -> Iterator[R]:
        """Call it for each row of the columns, as the builtin `map` does, several at once.

        concurrency: how many; None: as many as there are processors. ordered: in the order of the rows, else as they end.
        return_exceptions: an error takes the place of its value; else it is raised, and what still runs is killed.
        """
        most = concurrency or len(os.sched_getaffinity(0))
        if most < 1:
            raise ValueError("concurrency is less than 1")
        starts = (functools.partial(self._start_of, row) for row in zip(*columns, strict=False))
        with contextlib.closing(run_many(starts, concurrency=most, is_ordered=ordered)) as over:
            for future in over:
                error = future.exception()
                if error is not None and not return_exceptions:
                    raise error
                yield error if error is not None else future.result()  # type: ignore[misc]  # asked for

    async def aio(self, *arguments: P.args, **keywords: P.kwargs) -> R:
        """Call it and await the value. A task that is cancelled has killed the box."""
        return await await_call(self.submit(*arguments, **keywords))

    def keyed(self, key: Hashable) -> Sandboxed[P, R]:
        """The same function, whose calls may share a box with those of this key where its pool shares them; None: with none."""
        keyed = self._copy()
        keyed._terms = replace(self._terms, key=key)
        return keyed

    def _copy(self) -> Self:
        """Not `copy.copy`, for which it is one by its name, as a function is."""
        made = object.__new__(type(self))
        vars(made).update(vars(self))
        return made

    def _open(self, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Stream[Any]:
        """A run of a function that yields, which nothing has begun yet. Raises: SerializationError, ProfileError."""
        terms = self._terms
        window = (terms.window.items, terms.window.content_bytes)
        most = terms.pool.most_passed_bytes()
        function = self._function
        packed = pack_call(
            function, (*self._bound, *arguments), keywords, host=terms.names, window=window, most_passed_bytes=most
        )
        item, returned = parts_of_generator(hints_of(function).get("return", Any))
        start = functools.partial(run_call, packed, returned, terms=terms)
        return Stream(start, functools.partial(read_value, annotation=item, caps=terms.caps), terms.window)

    def _start_of(self, row: tuple[Any, ...], stop: Stop) -> Call[R]:
        return self._start(row, {}, stop.fd)

    def _start(self, arguments: tuple[Any, ...], keywords: dict[str, Any], stop_fd: int = -1) -> Call[R]:
        if self._generator is not None:
            raise TypeError(f"{self.local.__qualname__} yields: call it and iterate; it has no value")
        return make_call(self._function, (*self._bound, *arguments), keywords, terms=self._terms, stop_fd=stop_fd)

    @property
    def _function(self) -> Callable[..., Any]:
        """What goes into the box, by its name: the function without the object that it is bound to."""
        return self.local.__func__ if self._bound else self.local  # type: ignore[attr-defined]  # a MethodType then


def _generator_of(function: Callable[..., Any]) -> type[BoxedGenerator[Any, Any]] | type[BoxedAsyncGenerator[Any]] | None:
    """What a function gives that yields; None: it does not."""
    if inspect.isgeneratorfunction(function):
        return BoxedGenerator
    return BoxedAsyncGenerator if inspect.isasyncgenfunction(function) else None


class Wrap(Protocol):
    """What `sandboxed` with options is: a decorator of functions and of class methods."""

    @overload
    def __call__(self, function: classmethod[Any, P, R], /) -> Sandboxed[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Sandboxed[P, R]: ...


@overload
def sandboxed(function: classmethod[Any, P, R], /) -> Sandboxed[P, R]: ...
@overload
def sandboxed(function: Callable[P, R], /) -> Sandboxed[P, R]: ...
@overload
def sandboxed(
    *,
    profile: str | os.PathLike[str] = ...,
    preload: Iterable[str] = ...,
    fresh: Fresh = ...,
    reuse: Reuse = ...,
    pool: Pool | None = ...,
    max_answer_bytes: int = ...,
    max_output_bytes: int = ...,
    ahead: int = ...,
    host: Mapping[str, Callable[..., Any] | HostFunction] = ...,
    **options: Any,
) -> Wrap: ...
def sandboxed(
    function: Any = None,
    /,
    *,
    profile: str | os.PathLike[str] | None = None,
    preload: Iterable[str] = (),
    fresh: Fresh = "image",
    reuse: Reuse = "never",
    pool: Pool | None = None,
    max_answer_bytes: int = 16 << 20,
    max_output_bytes: int = MAX_OUTPUT_BYTES,
    ahead: int = 16,
    host: Mapping[str, Callable[..., Any] | HostFunction] | None = None,
    **options: Any,
) -> Any:
    """Have a function run in a box of its own at each call.

    profile and options: as for `run`, such as `timeout` and `memory`. The profile must show the interpreter, the module of the
    function, and what that imports.
    preload: modules that are loaded ahead of the calls, beside the function's own. fresh: "image" starts each interpreter from
    one image, in which these are loaded; "exec" starts it from nothing, with a layout of memory and a secret of hashes that no
    other call has. reuse: "same-key" lets calls of this function follow each other in one box, and see what the last one left.
    pool: where the boxes are from, which says all of this and the profile; None: one that functions with the same settings share.
    max_answer_bytes: of the text of what it returns; bytes and long texts in it may be 1 GiB together. max_output_bytes: of each
    of its standard outputs. ahead: how many items a function that yields may make before somebody takes them. host: functions
    of the caller's that it may call, as `sandboxer.host.<name>`.
    A function goes by its module and name, or by value where it has none.
    """
    if isinstance(preload, str):
        raise TypeError(f"preload is a list of modules, and not one: [{preload!r}]")
    if ahead < 1:
        raise ValueError("ahead is at least 1: an item is made before it can be taken")
    stocking = Stocking(preload=tuple(preload), fresh=fresh, reuse=reuse, max_output_bytes=max_output_bytes)
    if pool is None:
        pool = shared_pool("python" if profile is None else profile, stocking, options)  # type: ignore[arg-type]
    elif profile is not None or stocking != Stocking() or options:
        raise TypeError("the pool says which profile, stocking and options its boxes have")

    functions = read_functions(host or {})

    def wrap(wrapped: Any) -> Sandboxed[Any, Any]:
        binds: Binds = "object"
        if isinstance(wrapped, classmethod | staticmethod):
            binds = "class" if isinstance(wrapped, classmethod) else "nothing"
            wrapped = wrapped.__func__
        if not callable(wrapped):
            raise TypeError(f"{wrapped!r:.60} is no function")
        name = getattr(wrapped, "__module__", None), getattr(wrapped, "__qualname__", None)
        terms = Terms(Caps(text_bytes=max_answer_bytes), pool, name if all(name) else object(), functions, Window(ahead))
        if isinstance(wrapped, MethodType):
            return Sandboxed(wrapped.__func__, terms).__get__(wrapped.__self__)
        return Sandboxed(wrapped, terms, binds)

    return wrap(function) if function is not None else wrap
