"""Tasks on their way: bytes, which pickles carry, and a value from a box wherever they are called."""

from __future__ import annotations

import pickle
import pickletools
import threading
from typing import Any

import pytest

import sandboxer
from sandboxer import Stocking, box_task
from sandboxer.calls.boxes.pool import shared_pool


def test_task_that_was_pickled_calls_in_a_box(jobs: Any) -> None:
    task = pickle.loads(pickle.dumps(box_task(jobs.add.local, timeout="30s")))
    assert (task(1, b=2), task.__name__) == (3, "add")
    with pytest.raises(ValueError, match="this"):
        box_task(jobs.refuse.local)("this")


def test_pickle_names_nothing_of_the_functions_module(jobs: Any) -> None:
    found = pickletools.genops(pickle.dumps(box_task(jobs.add.local), protocol=2))
    names = [argument for operation, argument, _ in found if operation.name == "GLOBAL"]
    assert names
    assert not [name for name in names if "boxed_jobs" in name]


def test_function_of_the_caller_goes_by_value(jobs: Any) -> None:
    factor = 7
    assert box_task(lambda value: factor * value)(6) == 42


def test_class_of_the_annotation_is_the_callers(jobs: Any) -> None:
    assert pickle.loads(pickle.dumps(box_task(jobs.move.local)))(jobs.Point(1, 2), 3) == [jobs.Point(4, 5)]


def test_tasks_with_the_same_settings_share_a_pool_and_no_box(jobs: Any) -> None:
    pool = shared_pool("python", Stocking(), {"timeout": "31s"})
    for function in (jobs.add.local, jobs.whole.local):
        box_task(function, timeout="31s")(1)
    assert (pool.stats().calls, pool.stats().reused) == (2, 0)


def test_calls_of_one_task_may_share_a_box_where_that_is_said(jobs: Any) -> None:
    stocking = Stocking(reuse="same-key")
    pool = shared_pool("python", stocking, {})
    before = pool.stats()
    for function in (jobs.add.local, jobs.add.local, jobs.whole.local):
        box_task(function, stocking=stocking)(1)
    assert (pool.stats().calls - before.calls, pool.stats().reused - before.reused) == (3, 1)


def test_what_is_no_task_is_refused(jobs: Any) -> None:
    with pytest.raises(TypeError, match="add is sandboxed, on terms of its own"):
        box_task(jobs.add)
    with pytest.raises(TypeError, match="unexpected keyword argument 'tiemout'"):
        box_task(jobs.add.local, tiemout="1s")
    with pytest.raises(sandboxer.SerializationError, match="cannot cross"):
        box_task(threading.Lock().acquire)
