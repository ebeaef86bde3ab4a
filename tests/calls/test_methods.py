"""Methods: the object goes into the box with its arguments, and stays as it is outside."""

from __future__ import annotations

import asyncio
import copy
import functools
import importlib
import pickle
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sandboxer

METHODS = '''
from collections.abc import Iterator
from dataclasses import dataclass

from sandboxer import sandboxed


@dataclass
class Account:
    balance: int

    @sandboxed
    def after(self, more: int) -> int:
        """What it would have."""
        self.balance += more
        return self.balance

    @sandboxed
    def steps(self, count: int) -> Iterator[int]:
        yield from range(self.balance, self.balance + count)

    @staticmethod
    @sandboxed
    def twice(number: int) -> int:
        return 2 * number

    @sandboxed
    @staticmethod
    def thrice(number: int) -> int:
        return 3 * number

    @sandboxed
    @classmethod
    def opened(cls, balance: int) -> str:
        return f"{cls.__name__} {balance}"

    @sandboxed(profile="python")
    @classmethod
    def named(cls) -> str:
        return cls.__name__

    @classmethod
    @sandboxed
    def below(cls, balance: int) -> str:
        return f"{cls.__name__} {balance}"


class Savings(Account):
    pass
'''


@pytest.fixture
def account(in_project: Path) -> Iterator[Any]:
    file = in_project / "boxed_methods.py"
    file.write_text(METHODS)
    importlib.invalidate_caches()
    yield importlib.import_module("boxed_methods").Account(10)
    file.unlink()


def test_method_is_called_with_its_object_which_stays_as_it_is(account: Any) -> None:
    assert [account.after(5), account.after(more=7), type(account).after(account, 1)] == [15, 17, 11]
    assert account.balance == 10
    assert account.after.local(5) == 15
    assert account.balance == 15, "that was no box"
    assert account.after.__doc__ == "What it would have."


def test_method_has_all_that_a_function_has(account: Any) -> None:
    assert account.after.call(1).value == 11
    assert account.after.submit(2).result() == 12
    assert list(account.after.map([1, 2, 3])) == [11, 12, 13]
    assert asyncio.run(account.after.aio(4)) == 14
    assert account.after.keyed("a")(5) == 15
    assert list(account.steps(3)) == [10, 11, 12]
    assert account.twice(4) == type(account).twice(4) == 8


def test_class_goes_with_a_class_method(account: Any) -> None:
    module = importlib.import_module("boxed_methods")
    assert [module.Account.opened(1), account.opened(2), module.Savings.opened(3)] == ["Account 1", "Account 2", "Savings 3"]
    assert [account.named(), module.Savings.named(), module.Savings(1).named()] == ["Account", "Savings", "Savings"]
    assert [module.Account.below(1), account.below(2), module.Savings.below(3)] == ["Account 1", "Account 2", "Savings 3"]
    assert module.Savings.opened.call(4).value == account.opened.submit(4).result().replace("Account", "Savings") == "Savings 4"
    assert list(module.Savings.opened.map([5])) == ["Savings 5"]
    assert module.Savings.opened.local(6) == "Savings 6"
    assert sandboxer.sandboxed(module.Savings.opened.local)(7) == "Savings 7"
    assert pickle.loads(pickle.dumps(module.Savings.opened))(8) == "Savings 8"


def test_static_method_has_no_object(account: Any) -> None:
    module = importlib.import_module("boxed_methods")
    assert [account.thrice(2), module.Account.thrice(3), account.thrice.call(4).value] == [6, 9, 12]
    assert pickle.loads(pickle.dumps(module.Account.thrice)) is module.Account.thrice


def test_method_that_is_bound_is_a_function_like_others() -> None:
    assert sandboxer.sandboxed(random.randint)(3, 3) == 3
    assert sandboxer.sandboxed({"a": 1}.get)("a") == 1


def test_it_is_pickled_by_its_name(account: Any) -> None:
    twice, after = type(account).twice, account.after
    assert pickle.loads(pickle.dumps(twice)) is copy.copy(twice) is copy.deepcopy(twice) is twice
    assert pickle.loads(pickle.dumps(after))(5) == 15
    for nameless in (twice.keyed("a"), after.keyed("a"), sandboxer.sandboxed(functools.partial(max, 1))):
        with pytest.raises((TypeError, pickle.PicklingError)):
            pickle.dumps(nameless)


def test_it_says_what_it_is(account: Any) -> None:
    assert repr(type(account).twice) == "<sandboxed boxed_methods.Account.twice>"
    assert repr(sandboxer.sandboxed(functools.partial(max, 1))).startswith("<sandboxed functools.partial(")
