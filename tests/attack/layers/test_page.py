"""The table as a page has it, and what is found when it says another thing than what was measured: on invented outcomes."""

from __future__ import annotations

import pytest

from sandboxer.model.host import Host
from tests.attack.attempts import ATTEMPTS
from tests.attack.layers.measure import PROFILES, Outcomes, name_run, runs
from tests.attack.layers.page import BEGIN, END, find_differences, parse_page, read_marked, show_page, summarize
from tests.attack.layers.verdict import BREACHED, MARKED, OWN_RULES, Cell
from tests.attack.layers.walls import Layer

HOST = Host(kernel=(6, 18), landlock_abi=7)


def invented() -> dict[str, Outcomes]:
    """Everything is stopped by seccomp and the view, but in `python` the view stops nothing of `shadow`."""
    measured: dict[str, Outcomes] = {profile: {} for profile in PROFILES}
    for profile in PROFILES:
        for layers in runs():
            is_held = bool(layers & {Layer.VIEW, Layer.SECCOMP})
            said = MARKED if Layer.SECCOMP in layers else "held ENOENT" if is_held else BREACHED
            measured[profile][name_run(layers)] = {row.name: said for row in ATTEMPTS}
    measured["python"][Layer.VIEW.value]["shadow"] = BREACHED
    return measured


def test_page_is_read_as_it_was_written() -> None:
    page = show_page(invented(), HOST)
    assert "| `shadow` | strict |  | x |  |  |" in page
    assert parse_page(page)["strict"]["shadow"][Layer.VIEW] is Cell.STOPS
    assert parse_page(page)["python"]["shadow"][Layer.VIEW] is Cell.LETS
    assert find_differences(page, invented()) == []


def test_page_says_what_this_kernel_cannot_tell() -> None:
    measured = invented()
    for profile in PROFILES:
        measured[profile][""]["socket-alg"] = measured[profile]["view"]["socket-alg"] = "held EAFNOSUPPORT"
    page = show_page(measured, HOST)
    assert "| `socket-alg` | ? |" in page
    assert find_differences(page, invented()) == []
    assert find_differences(show_page(invented(), HOST), measured) == []


def test_changed_cell_is_found() -> None:
    page = show_page(invented(), HOST).replace("| `shadow` | strict |", "| `shadow` | x |")
    assert find_differences(page, invented()) == ["python: shadow: view: STOPS, measured LETS (`make layers`)"]


def test_attempt_that_the_page_lacks_is_found() -> None:
    page = show_page(invented(), HOST).replace("`open-outside` ", "")
    assert find_differences(page, invented()) == [f"{profile}: open-outside is missing (`make layers`)" for profile in PROFILES]


def test_other_reason_is_found() -> None:
    page = show_page(invented(), HOST).replace("the launcher is who gives", "so it is")
    assert find_differences(page, invented()) == ["the table of those with one layer is another (`make layers`)"]


def test_page_without_marks_is_refused() -> None:
    assert read_marked(f"a\n{BEGIN}\n{END}\nb") == f"{BEGIN}\n{END}"
    with pytest.raises(ValueError, match="has lost the marks"):
        read_marked("a page")


def test_summary_names_those_with_one_layer() -> None:
    """Of the rest the kernel's own refusals are missing, which are not invented here."""
    lines = summarize(invented()).splitlines()
    told = len(ATTEMPTS) - len(OWN_RULES)
    assert f"  strict: {told} by 2; not in this kernel: {len(OWN_RULES)}" in lines
    at = lines.index(f"  python: {told - 1} by 2, 1 by 1; not in this kernel: {len(OWN_RULES)}")
    assert lines[at + 1 :] == ["    by seccomp alone: shadow"]
