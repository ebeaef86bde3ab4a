"""A call as bytes: how a function is found, and what cannot cross."""

from __future__ import annotations

import functools
import math
import sys
import types

import pytest

from sandboxer.calls.request import pack_call, pickle_function, refer
from sandboxer.calls.wire.caps import SerializationError


def test_function_of_a_module_goes_by_its_name() -> None:
    assert refer(math.sqrt) == {"by_value": b"", "module": "math", "name": "sqrt", "file": "", "is_bound": False}


def test_function_of_a_program_goes_by_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    main = types.ModuleType("__main__")
    main.__file__ = "/somewhere/program.py"
    exec("def f(): pass", main.__dict__)
    monkeypatch.setitem(sys.modules, "__main__", main)
    found = refer(main.f)
    assert found == {"by_value": b"", "module": "__main__", "name": "f", "file": "/somewhere/program.py", "is_bound": False}


def test_function_without_a_name_goes_by_value() -> None:
    assert refer(lambda: 0)["by_value"]
    assert pack_call(lambda: 0, (), {}).by_value
    assert not pack_call(math.sqrt, (4,), {}).by_value


def test_argument_that_cannot_cross_is_refused() -> None:
    with pytest.raises(SerializationError, match=r"^the arguments cannot cross"):
        pack_call(math.sqrt, (lambda: 0,), {})


def test_function_that_was_pickled_ahead_goes_as_it_is() -> None:
    pickled = pickle_function(functools.partial(max, 1))
    packed = pack_call(pickled, (2,), {})
    assert (refer(pickled), packed.by_value) == ({"by_value": pickled.data}, True)
