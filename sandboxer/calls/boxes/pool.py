"""Pools: boxes that are made ready ahead of the calls that they are for.

A call gets a box that nobody has used, unless it says whose it is and that such calls may share one. No thread works behind the
callers' backs: whoever calls has the next box started while his own works.
"""

from __future__ import annotations

import atexit
import functools
import os
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Self, Unpack

from sandboxer.calls.boxes.image import Image, ImageRefused, make_image
from sandboxer.calls.boxes.stock import Shelf, Sort, Stock, drop_all, kill_all
from sandboxer.calls.boxes.stocking import PoolError, PoolStats, Stocking, settle_pool_options
from sandboxer.calls.boxes.worker import Ground, Worker, find_ground
from sandboxer.calls.call import Heard, Says, Wire
from sandboxer.calls.request import Packed, pack_ready
from sandboxer.calls.roots.shown import Shown
from sandboxer.calls.talk.allowance import most_passed_bytes
from sandboxer.errors import Problem, ProfileError, SandboxerError
from sandboxer.model.outcome.ending import UNSTARTED
from sandboxer.run.request import Request
from sandboxer.run.said.options import Options
from sandboxer.run.start import make_request

LOOK_SECONDS = 1.0
"""How old what is known of the profile's files, of the host and of our environment may be."""
BUSY_SECONDS = 1.0
"""A box is made ahead where calls come closer together than that."""


class Pool:
    """Boxes for calls under one profile, for any number of functions and threads.

    It is a context manager. A fork of this process inherits none of its boxes.
    """

    def __init__(
        self, profile: str | os.PathLike[str] = "python", *, stocking: Stocking | None = None, **options: Unpack[Options]
    ) -> None:
        """Nothing is started yet. profile, options: as for `run`. Raises: TypeError, ValueError for what is none."""
        self._request: Callable[[], Request] = functools.partial(make_request, profile, settle_pool_options(options))
        self.stocking = stocking or Stocking()
        processors = len(os.sched_getaffinity(0))
        self._spares = min(2, processors) if self.stocking.spares is None else self.stocking.spares
        self._most_shared = 4 * processors
        self._reset()
        _pools.add(self)

    def _reset(self) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._stock = Stock()
        weakref.finalize(self, drop_all, self._stock).atexit = False
        self._counts: Counter[str] = Counter()
        self._refusal = ""
        self._running: set[Worker] = set()
        self._making: set[Sort] = set()
        self._is_closed = False
        self._kills = False  # what begins a call now is ended at once
        self._ground: Ground | None = None
        self._shown: Shown | None = None
        self._mark: object = None
        self._looked = 0.0
        self._called = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.close(kill=kind is not None)

    def hold(self, packed: Packed, says: Says, *, key: Hashable = None) -> Heard:
        """Hold the conversation of a call with a box, and wait for its end.

        Raises: PoolError; ProfileError, HostError; ExecutionError, SetupError for modules that do not load.
        """
        self._enter()
        try:
            worker = self._find(self._sort(packed), key)
            if packed.passes and not most_passed_bytes(worker.ground.entry.plan):
                worker.kill()
                raise ProfileError(Problem("the profile has changed since the call was packed", attempt="call again"))
            heard = self._hold(worker, packed, says, key)
            if heard.result.reason in UNSTARTED and worker.image:
                # Nothing ran. Whoever has the file of an image could take the right away to execute it, until Linux 6.3; and
                # whoever removes a directory of the host takes along what a root has mounted there.
                self._drop(self._sort(packed), worker.image)
                heard = self._hold(self._find(self._sort(packed), key), packed, says, key)
            return heard
        finally:
            self._leave()

    def most_passed_bytes(self) -> int:
        """How many bytes of an answer its boxes may pass by descriptors; 0: none. Raises: ProfileError, HostError."""
        with self._changed:
            doomed, ground = self._look()
        kill_all(doomed)
        return most_passed_bytes(ground.entry.plan)

    def stats(self) -> PoolStats:
        """What it did and does."""
        with self._changed:
            spare, shared = self._stock.waiting()
            images = [shelf.image.size for shelf in self._stock.shelves.values() if shelf.image]
            return PoolStats(**self._counts, image_bytes=sum(images), spare=spare, shared=shared, refusal=self._refusal)

    def clear(self) -> None:
        """End the boxes that wait, and let go of the images. Calls that run go on, and the next one makes what it needs."""
        with self._changed:
            doomed = self._stock.clear()
        kill_all(doomed)

    def close(self, *, kill: bool = False) -> None:
        """Take no call any more, wait for those that run, and end every box. kill: end those that run too."""
        with self._changed:
            self._is_closed = True
            self._kills |= kill
            self._changed.notify_all()
            for worker in self._running if kill else ():
                worker.launch.cancel()
            self._changed.wait_for(lambda: not self._counts["running"])
            doomed = self._stock.clear()
            self._ground = self._shown = None
        kill_all(doomed)

    def abandon(self) -> None:
        """End every box now, and wait for those that no call is in."""
        with self._changed:
            self._is_closed = self._kills = True
            self._changed.notify_all()
            for worker in self._running:
                worker.launch.cancel()
            doomed = self._stock.clear()
        kill_all(doomed)

    def _enter(self) -> None:
        """Wait for a turn."""
        with self._changed:
            if not self._may_begin() and not self._is_closed:
                if self._counts["waiting"] >= self.stocking.max_queue:
                    raise PoolError(
                        Problem(
                            f"{self._counts['waiting']} calls wait for the pool already", attempt="a larger max_queue or size"
                        )
                    )
                self._count(waiting=1)
                try:
                    self._changed.wait_for(lambda: self._is_closed or self._may_begin())
                finally:
                    self._count(waiting=-1)
            if self._is_closed:
                raise PoolError(Problem("the pool is closed"))
            self._count(running=1, calls=1)

    def _leave(self) -> None:
        with self._changed:
            self._count(running=-1)
            self._changed.notify_all()

    def _may_begin(self) -> bool:
        return self.stocking.size is None or self._counts["running"] < self.stocking.size

    def _count(self, **more: int) -> None:
        with self._changed:
            for name, number in more.items():
                self._counts[name] += number

    def _hold(self, worker: Worker, packed: Packed, says: Says, key: Hashable) -> Heard:
        sort = self._sort(packed)
        shares = self._shares(key)
        opening = b"" if worker.is_ready else self._ready(sort)
        wire, conversation = says.open(worker.socket, opening, packed, is_last=not shares)
        with self._changed:
            self._running.add(worker)
            if self._kills:
                worker.launch.cancel()
        try:
            self._begin(worker, wire, sort, key)
            result = worker.run(wire, lambda: conversation.is_over) if shares else None
            if result is None:
                result = worker.run_last(wire)
            elif worker.uses < self.stocking.max_uses:
                self._put_back(sort, key, worker)
            else:
                worker.kill()
        finally:
            with self._changed:
                self._running.discard(worker)
        return Heard(wire.error, conversation.answer, result)

    def _begin(self, worker: Worker, wire: Wire, sort: Sort, key: Hashable) -> None:
        try:
            worker.begin(wire)
            self._make_spare(sort, key)
        except BaseException:
            worker.kill()
            raise

    def _shares(self, key: Hashable) -> bool:
        return key is not None and self.stocking.reuse == "same-key"

    def _sort(self, packed: Packed) -> Sort:
        modules = [(name, "") for name in self.stocking.preload]
        return Sort((*modules, *packed.modules), packed.by_value)

    def _ready(self, sort: Sort) -> bytes:
        return pack_ready(by_value=sort.by_value, modules=[(name, "") for name in self.stocking.preload])

    def _find(self, sort: Sort, key: Hashable) -> Worker:
        """A box for a call: theirs, one that waits, or a new one."""
        while True:
            with self._changed:
                doomed, ground = self._look()
                worker = self._take(sort, key)
            kill_all(doomed)
            if worker:
                return worker
            shelf = self._stocked(sort, ground) if self.stocking.fresh == "image" else None
            with self._changed:
                if shelf is None or shelf.refusal:
                    return self._start(ground, None)
                if shelf.image:
                    return self._start(ground, shelf)

    def _take(self, sort: Sort, key: Hashable) -> Worker | None:
        while self._shares(key) and (worker := self._stock.take_shared(sort, key)):
            if not self._has_died(worker):
                self._count(reused=1)
                return worker
        shelf = self._stock.shelves.get(sort)
        while shelf and shelf.spares:
            worker = shelf.spares.pop(0)
            if not self._has_died(worker):
                return worker
        return None

    def _has_died(self, worker: Worker) -> bool:
        if not worker.has_ended():
            return False
        worker.kill()
        self._count(died=1)
        return True

    def _start(self, ground: Ground, shelf: Shelf | None) -> Worker:
        if shelf and shelf.image:
            self._count(from_image=1, from_root=1 if shelf.image.root else 0)
            return Worker(ground, self.stocking.max_output_bytes, image=shelf.image)
        self._count(from_exec=1)
        return Worker(ground, self.stocking.max_output_bytes)

    def _drop(self, sort: Sort, image: Image) -> None:
        """Keep nothing of an image, unless somebody has done so already."""
        with self._changed:
            shelf = self._stock.shelves.get(sort)
            doomed = self._stock.drop(sort) if shelf and shelf.image is image else []
        kill_all(doomed)

    def _make_spare(self, sort: Sort, key: Hashable) -> None:
        """Have the next box started while this call works, where calls come one after the other."""
        with self._changed:
            now = time.monotonic()
            is_busy, self._called = now - self._called < BUSY_SECONDS, now
            shelf = self._stock.shelves.get(sort)
            if not is_busy or not shelf or not shelf.image or not self._ground or self._shares(key):
                return
            with suppress(SandboxerError):  # it is the next call's, which meets the same and says so
                for _ in range(min(self._spares - len(shelf.spares), 2)):
                    shelf.spares.append(self._start(self._ground, shelf))

    def _put_back(self, sort: Sort, key: Hashable, worker: Worker) -> None:
        with self._changed:
            worker.is_ready = True
            is_stale = self._is_closed or worker.ground is not self._ground
            doomed = [worker] if is_stale else self._stock.put_shared(sort, key, worker, self._most_shared)
        kill_all(doomed)

    def _look(self) -> tuple[list[Worker], Ground]:
        """The plan of now. Where something of it is another, or of what it shows of the host, nothing that was kept is of use;
        neither is an image that is old."""
        now = time.monotonic()
        mark = (os.getcwd(), tuple(sys.path))
        doomed: list[Worker] = []
        shown = self._shown
        if not (self._ground and shown and shown.is_whole()) or mark != self._mark or now - self._looked > LOOK_SECONDS:
            ground = find_ground(self._request())
            self._looked = now
            if not (self._ground and shown and shown.is_current()) or mark != self._mark or not ground.is_like(self._ground):
                doomed += self._stock.clear()
                if shown:
                    shown.close()
                self._ground, self._mark, self._shown = ground, mark, Shown(ground.entry.plan)
        for sort, shelf in list(self._stock.shelves.items()):
            if now - shelf.made > self.stocking.max_age:
                doomed += self._stock.drop(sort)
        return doomed, self._ground

    def _stocked(self, sort: Sort, ground: Ground) -> Shelf:
        """The shelf of a sort, with its image if there can be one; whoever comes first makes that, and the others wait."""
        with self._changed:
            self._changed.wait_for(lambda: sort not in self._making)
            if shelf := self._stock.shelves.get(sort):
                return shelf
            self._making.add(sort)
        shelf = Shelf(None, "", time.monotonic())
        try:
            shelf.image = make_image(ground, sort.modules, by_value=sort.by_value)
            self._count(images=1)
        except ImageRefused as refused:
            shelf.refusal = str(refused)
        finally:
            with self._changed:
                self._making.discard(sort)
                self._changed.notify_all()
        with self._changed:
            self._refusal = shelf.refusal
            doomed = self._stock.put_shelf(sort, shelf) if ground is self._ground else shelf.clear()
        kill_all(doomed)
        return shelf

    def _forget(self) -> None:
        """In the child of a fork: what was inherited is not ours."""
        for worker in (*self._stock.clear(), *self._running):
            worker.forget()
        self._reset()


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()


def clear_pools() -> None:
    """Clear every pool of this process."""
    for pool in tuple(_pools):
        pool.clear()


def _close_all() -> None:
    """At the end of the interpreter."""
    for pool in tuple(_pools):
        pool.abandon()


def _forget_all() -> None:
    for pool in tuple(_pools):
        pool._forget()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_forget_all)


_shared: dict[object, Pool] = {}
_sharing = threading.Lock()


def shared_pool(profile: str | os.PathLike[str], stocking: Stocking, options: Options) -> Pool:
    """The pool of everybody in this process who wants the same."""
    key = (os.fspath(profile), stocking, repr(sorted(options.items())))
    with _sharing:
        if key not in _shared:
            _shared[key] = Pool(profile, stocking=stocking, **options)
        return _shared[key]
