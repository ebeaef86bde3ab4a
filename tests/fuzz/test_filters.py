"""The fuzzer of filters: what it makes is loaded, and a first piece of its run, the same each time."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from fuzz.filters.compare import find_disagreement, make_filter
from sandboxer.abi import bpf
from sandboxer.verify.simulate import Call, run_filter
from tests.live.needs import needs
from tests.verify.building import build_helper


@pytest.fixture(scope="module")
def helper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that asks the kernel."""
    return build_helper(tmp_path_factory.mktemp("oracle"))


@needs("x86_64")
@pytest.mark.parametrize("seed", range(40))
def test_random_filters_answer_alike_everywhere(helper: Path, seed: int) -> None:
    asked, problem = find_disagreement(random.Random(seed), helper)
    assert (problem, asked > 500) == ("", True)


def test_made_filters_are_many_and_repeatable() -> None:
    first = [make_filter(random.Random(seed), is_plain=True) for seed in range(200)]
    assert first == [make_filter(random.Random(seed), is_plain=True) for seed in range(200)]
    assert len(set(first)) == 200
    verdicts = {run_filter(item, Call(number)).action for item in first for number in range(5)}
    assert {bpf.RET_ALLOW, bpf.RET_ERRNO, bpf.RET_TRAP, bpf.RET_LOG} <= verdicts
