"""What may be said beside a profile, wherever Python code says it: what is misspelt is refused before anything runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import sandboxer
from sandboxer import aio
from sandboxer.calls.boxes.stocking import Stocking

PLACES: dict[str, Callable[..., Any]] = {
    "run": lambda **options: sandboxer.run(["true"], profile="python", **options),
    "stream": lambda **options: sandboxer.stream(["true"], profile="python", **options),
    "aio.run": lambda **options: asyncio.run(aio.run(["true"], profile="python", **options)),
    "aio.stream": lambda **options: aio.stream(["true"], profile="python", **options),
    "load": lambda **options: sandboxer.load("python", **options),
    "sandboxed": lambda **options: sandboxer.sandboxed(profile="python", **options)(len),
    "Pool": lambda **options: sandboxer.Pool("python", **options),
    "Box": lambda **options: sandboxer.Box("python", **options),
    "aio.Box": lambda **options: aio.Box("python", **options),
    "SandboxExecutor": lambda **options: sandboxer.SandboxExecutor(profile="python", **options),
}


@pytest.mark.parametrize("place", PLACES)
def test_misspelt_limit_is_refused(place: str) -> None:
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'memroy': did you mean memory\?"):
        PLACES[place](memroy="16M")


@pytest.mark.parametrize("place", PLACES)
def test_word_like_no_other_is_refused_without_advice(place: str) -> None:
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'zzz'$"):
        PLACES[place](zzz=1)


@pytest.mark.parametrize("place", ["Pool", "SandboxExecutor"])
def test_stocking_is_said_in_the_stocking(place: str) -> None:
    with pytest.raises(TypeError, match=r"stocking=Stocking\(preload=\.\.\.\)"):
        PLACES[place](preload=["json"])


@pytest.mark.parametrize(
    "said", [{"profile": "strict"}, {"memory": "16M"}, {"preload": ["json"]}, {"reuse": "same-key"}, {"max_output_bytes": 1}]
)
def test_what_a_pool_says_is_not_said_of_a_function(said: dict[str, Any]) -> None:
    with sandboxer.Pool("python") as pool, pytest.raises(TypeError, match="the pool says which"):
        sandboxer.sandboxed(pool=pool, **said)(len)


def test_pool_with_its_own_words_serves_a_function() -> None:
    with sandboxer.Pool("python", stocking=Stocking(spares=0), memory="256M") as pool:
        assert sandboxer.sandboxed(pool=pool, ahead=2)(len)("four") == 4
