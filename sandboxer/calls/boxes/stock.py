"""What a pool keeps: for each sort of interpreter its image and the boxes that wait, and the boxes of callers who share one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from sandboxer.calls.boxes.image import Image
from sandboxer.calls.boxes.worker import Worker

MAX_SORTS = 32


@dataclass(frozen=True, slots=True)
class Sort:
    """What an interpreter has loaded: modules as in `pack_ready`; by_value: what makes functions of values too."""

    modules: tuple[tuple[str, str], ...]
    by_value: bool


@dataclass(slots=True)
class Shelf:
    """Of one sort. image: None where there is none, and `refusal` says why. made: when, on the monotonic clock, in seconds."""

    image: Image | None
    refusal: str
    made: float
    spares: list[Worker] = field(default_factory=list)

    def clear(self) -> list[Worker]:
        """Let go of the image; the boxes that somebody has to kill."""
        if self.image:
            self.image.close()
        self.image = None
        spares, self.spares = self.spares, []
        return spares


class Stock:
    """All of it. Nothing here is thread-safe: the pool has the lock."""

    def __init__(self) -> None:
        self.shelves: OrderedDict[Sort, Shelf] = OrderedDict()
        self._shared: OrderedDict[tuple[Sort, Hashable], list[Worker]] = OrderedDict()

    def put_shelf(self, sort: Sort, shelf: Shelf) -> list[Worker]:
        """Keep it, in place of the one that nobody has asked for longest if there are too many; the boxes to kill."""
        self.shelves[sort] = shelf
        return self.drop(next(iter(self.shelves))) if len(self.shelves) > MAX_SORTS else []

    def drop(self, sort: Sort) -> list[Worker]:
        """Keep nothing of this sort; the boxes to kill."""
        shelf = self.shelves.pop(sort, None)
        shared = [self._shared.pop(key) for key in list(self._shared) if key[0] == sort]
        return [*(shelf.clear() if shelf else ()), *(worker for workers in shared for worker in workers)]

    def clear(self) -> list[Worker]:
        """Keep nothing; the boxes to kill."""
        workers = [worker for shelf in self.shelves.values() for worker in shelf.clear()]
        workers += [worker for workers in self._shared.values() for worker in workers]
        self.shelves.clear()
        self._shared.clear()
        return workers

    def take_shared(self, sort: Sort, key: Hashable) -> Worker | None:
        """A box of theirs that waits."""
        workers = self._shared.get((sort, key))
        worker = workers.pop() if workers else None
        if not workers:
            self._shared.pop((sort, key), None)
        return worker

    def put_shared(self, sort: Sort, key: Hashable, worker: Worker, most: int) -> list[Worker]:
        """Keep a box of theirs, of `most` for all together; the boxes to kill, of whoever has not called for longest."""
        self._shared.setdefault((sort, key), []).append(worker)
        self._shared.move_to_end((sort, key))
        if sum(map(len, self._shared.values())) <= most:
            return []
        oldest = next(iter(self._shared))
        worker = self._shared[oldest].pop(0)
        if not self._shared[oldest]:
            del self._shared[oldest]
        return [worker]

    def waiting(self) -> tuple[int, int]:
        """How many boxes wait unused, and how many with a key."""
        return sum(len(shelf.spares) for shelf in self.shelves.values()), sum(map(len, self._shared.values()))


def drop_all(stock: Stock) -> None:
    """End all of a pool that nobody has any more."""
    kill_all(stock.clear())


def kill_all(workers: Iterable[Worker]) -> None:
    """End boxes, all at once, and wait until nothing of them is left."""
    doomed = list(workers)
    for worker in doomed:
        worker.launch.cancel()
    for worker in doomed:
        worker.kill()
