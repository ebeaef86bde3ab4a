"""The running kernel ignores, and heeds, the bits that the table says: calls with one bit more than they need."""

from __future__ import annotations

import errno
import json
import platform
import subprocess
import sys
from typing import Any

import pytest

from sandboxer.abi.arguments_table import ARGUMENTS, BY_ARCH, DEPENDENT
from sandboxer.verify.prototypes import DROPPED
from tests.abi.widths import CASES, Case
from tests.live.needs import give_up


@pytest.fixture(scope="module")
def outcomes() -> dict[Case, dict[str, Any]]:
    """What each case came to on this kernel."""
    command = [sys.executable, "-m", "tests.abi.widths"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return dict(zip(CASES, json.loads(done.stdout), strict=True))


def bits_in_table(case: Case) -> int:
    text = BY_ARCH.get(platform.machine(), {}).get(case.call, ARGUMENTS[case.call])
    words = text.split()
    assert words[case.index].split(":")[0] == case.argument
    return int(words[case.index].split(":")[1])


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.call}.{case.argument}-{case.bit}")
def test_kernel_looks_at_the_bits_of_the_table_and_at_no_others(case: Case, outcomes: dict[Case, dict[str, Any]]) -> None:
    plain, wide, other = (outcomes[case][use] for use in ("plain", "wide", "other"))
    if plain[0] == -errno.ENOSYS:
        give_up(f"this kernel has no {case.call}")
    assert other != plain, "the case shows nothing: another value comes to the same"
    is_ignored = case.bit >= bits_in_table(case) or case.argument in DEPENDENT.get(case.call, ())
    assert (wide == plain) == is_ignored


def test_every_argument_that_a_body_cuts_is_shown_to_be_cut() -> None:
    # Loading another kernel is nothing that a test should come near to.
    assert {(case.call, case.argument) for case in CASES} >= DROPPED.keys() - {("kexec_load", "flags")}
