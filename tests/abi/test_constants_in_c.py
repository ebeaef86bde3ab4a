"""No value is a typo: a C compiler says the same of every constant that the installed headers define."""

from __future__ import annotations

import platform
import re

import pytest

from sandboxer.abi.constants import BY_ARCH, CONSTANTS
from scripts.constants_spec import INTERNAL, SECTIONS, Section
from scripts.constants_table import evaluate, find_names
from tests.abi.newer_constants import NEWER

OURS = {**CONSTANTS, **BY_ARCH[platform.machine()]}

CHANGED = {
    # Linux 7.2 has more flags beside futex's command (FUTEX_ROBUST_UNLOCK, FUTEX_ROBUST_LIST32); older kernels refuse them.
    "FUTEX_CMD_MASK": 0xFFFFFE7F,
}
"""What older headers say."""


def wanted(section: Section) -> list[str]:
    """The names of a section that our table has."""
    return [name for name in OURS if re.fullmatch(section.pattern, name) and not re.fullmatch(section.without or "(?!)", name)]


@pytest.fixture(scope="module")
def installed() -> dict[str, int]:
    """Values by name, of all that the headers of this machine define."""
    found: dict[str, int] = {}
    for section in SECTIONS:
        try:
            names = find_names(section, [])
        except FileNotFoundError:
            continue
        found |= evaluate(section, sorted(set(names) & set(wanted(section))), [])
    return found


def test_values_are_those_of_the_installed_headers(installed: dict[str, int]) -> None:
    assert len(installed) > 1200
    assert {name: value for name, value in installed.items() if value not in (OURS[name], CHANGED.get(name))} == {}


def test_what_the_installed_headers_lack_is_listed_with_its_source(installed: dict[str, int]) -> None:
    listed = {name for names in NEWER.values() for name in names.split()} | INTERNAL.keys()
    assert OURS.keys() - installed.keys() - listed == set()


def test_listed_names_exist_under_one_source() -> None:
    listed = [name for names in NEWER.values() for name in names.split()]
    assert len(set(listed)) == len(listed)
    assert set(listed) <= CONSTANTS.keys() | {name for table in BY_ARCH.values() for name in table}
