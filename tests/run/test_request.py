"""What a caller asks for."""

from __future__ import annotations

import pytest

from sandboxer.compile.cache import Entry
from sandboxer.run.request import Request, RequestError, make_command


def test_value_of_a_variable_is_no_part_of_the_plan() -> None:
    request = Request(options=[("--env", "TOKEN=secret=1")])
    assert request.options == (("--env", "TOKEN"),)
    assert request.values == {b"TOKEN": b"secret=1"}
    assert not any("secret" in part for part in request.key_parts())


def test_variable_without_a_value_is_the_callers() -> None:
    request = Request(options=[("--env", "LANG")])
    assert (request.options, request.values) == ((("--env", "LANG"),), {})


def test_option_that_is_given_twice_counts_once() -> None:
    assert Request(options=[("--read", "/a"), ("--read", "/a")]).options == (("--read", "/a"),)


@pytest.mark.parametrize(
    "other",
    [
        Request("python"),
        Request(is_terminal=True),
        Request(directory="/tmp"),
        Request(options=[("--read", "/a")]),
        Request(options=[("--write", "/a")]),
    ],
)
def test_key_depends_on_everything_that_the_plan_depends_on(other: Request) -> None:
    assert other.key_parts() != Request().key_parts()


def entry(**recipe: object) -> Entry:
    return Entry(b"", **recipe)  # type: ignore[arg-type]


def test_command_has_the_environment_of_the_recipe() -> None:
    command = make_command(["ls"], entry(passed=[b"LANG"], fixed=[b"PATH=/bin"]), {b"LANG": b"C", b"X": b"1"}, {})
    assert (command.environment, command.candidates) == ([b"LANG=C", b"PATH=/bin"], (b"/bin/ls",))


def test_command_line_value_wins_over_the_profiles() -> None:
    command = make_command(["ls"], entry(fixed=[b"PATH=/bin"]), {}, {b"PATH": b"/opt"})
    assert (command.environment, command.candidates) == ([b"PATH=/opt"], (b"/opt/ls",))


def test_command_without_path_is_looked_for_in_the_usual_places() -> None:
    assert make_command(["ls"], entry(), {}, {}).candidates == (b"/usr/local/bin/ls", b"/usr/bin/ls", b"/bin/ls")


def test_command_that_no_path_entry_can_have_is_refused() -> None:
    with pytest.raises(RequestError, match="no absolute directory"):
        make_command(["ls"], entry(fixed=[b"PATH=.:bin"]), {}, {})
