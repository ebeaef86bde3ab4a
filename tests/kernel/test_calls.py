"""The raw system calls: they answer with the kernel's errno, and the search for missing ones believes only clear answers."""

from __future__ import annotations

import errno
import json
import os

import pytest

from sandboxer.kernel import calls
from tests.kernel.conftest import RunCode


def test_call_returns_the_kernels_answer() -> None:
    descriptor = calls.call(calls.PIDFD_OPEN, os.getpid(), 0)
    os.close(descriptor)
    assert descriptor > 2


def test_call_raises_the_kernels_errno() -> None:
    with pytest.raises(OSError, match="Invalid argument") as caught:
        calls.call(calls.PIDFD_OPEN, -1, 0)
    assert caught.value.errno == errno.EINVAL


def test_no_call_is_missing_on_a_kernel_that_has_them_all() -> None:
    major, minor = (int(word) for word in os.uname().release.split(".")[:2])
    assert (calls.find_missing_calls() == ()) == ((major, minor) >= (5, 12))


def test_search_for_missing_calls_changes_nothing() -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    calls.find_missing_calls()
    assert sorted(os.listdir("/proc/self/fd")) == before


MISSING = "import json; from sandboxer.kernel.calls import find_missing_calls; print(json.dumps(find_missing_calls()))"
WALL = (
    "import pyseccomp as s; f = s.SyscallFilter(s.ALLOW);"
    "f.add_rule(s.ERRNO(38), 'clone3'); f.add_rule(s.ERRNO(1), 'open_tree'); f.add_rule(s.ERRNO(1), 'fsopen'); f.load();"
)


def test_calls_that_a_filter_hides_are_missing(run_ordinary: RunCode) -> None:
    assert json.loads(run_ordinary(WALL + MISSING)) == ["clone3", "open_tree"]


def test_calls_of_an_ordinary_user_are_not_missing(run_ordinary: RunCode) -> None:
    assert json.loads(run_ordinary(MISSING)) == list(calls.find_missing_calls())
