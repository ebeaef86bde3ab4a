"""Every shipped profile has the plans that were reviewed. A change here is read line by line, then regenerated."""

from __future__ import annotations

import difflib
import getpass
from pathlib import Path

import pytest

from tests.golden.hosts import HOSTS
from tests.golden.tell import (
    CHECKOUT,
    GOLDEN,
    LABELLED,
    LABELS,
    MEANING,
    golden_path,
    golden_texts,
    label_on,
    profiles,
    tell_meaning,
    tell_plan,
)

HOW = "if that is what you want: python -m tests.golden.regenerate"


def check(path: Path, text: str) -> None:
    kept = path.read_text() if path.exists() else ""
    name = str(path.relative_to(CHECKOUT))
    diff = difflib.unified_diff(kept.splitlines(), text.splitlines(), f"{name} (reviewed)", f"{name} (now)", lineterm="", n=2)
    difference = "\n".join(diff)
    if difference:
        pytest.fail(f"{difference}\n\n{HOW}", pytrace=False)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("profile", profiles())
def test_plan_is_the_reviewed_one(profile: str, host: str) -> None:
    check(golden_path(host, profile), tell_plan(profile, host))


@pytest.mark.parametrize("profile", profiles())
def test_meaning_is_the_reviewed_one(profile: str) -> None:
    check(golden_path(MEANING, profile), tell_meaning(profile))


@pytest.mark.parametrize("host", LABELLED)
@pytest.mark.parametrize("profile", profiles())
def test_apparmor_profile_is_the_reviewed_one(profile: str, host: str) -> None:
    check(golden_path(f"{LABELS}/{host}", profile), label_on(profile, host).text)


def test_no_golden_is_left_of_a_profile_that_is_gone() -> None:
    assert set(GOLDEN.rglob("*.txt")) == {path for path, _ in golden_texts()}, HOW


def test_goldens_hold_nothing_of_the_machine_that_wrote_them() -> None:
    for path, text in golden_texts():
        assert str(CHECKOUT) not in text, path
        assert str(Path.home()) == "/root" or str(Path.home()) not in text, path
    assert getpass.getuser() in {"root", "user"} or all(getpass.getuser() not in text for _, text in golden_texts())


@pytest.mark.parametrize("profile", profiles())
def test_host_without_user_namespaces_is_refused_and_a_usual_one_is_not(profile: str) -> None:
    assert "refused, UnsupportedError" in tell_plan(profile, "user-no-userns")
    assert "refused" not in tell_plan(profile, "user-6.12").split("\n", 1)[0]
