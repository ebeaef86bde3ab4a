"""Options as rows: the parser, its errors and the help pages."""

from __future__ import annotations

from types import ModuleType

import pytest

from sandboxer.cli.main import VERBS, load_verb
from sandboxer.cli.options import PAGE_WIDTH, Given, Option, UsageError, parse_options, show_help, visible, wrap

ROWS = (
    Option("--profile", "NAME", short="-p", help="the profile"),
    Option("--read", "PATH", repeatable=True, help="a path"),
    Option("--quiet", short="-q", help="say less"),
)


def parse(*arguments: str, takes_command: bool = True) -> Given:
    return parse_options(ROWS, arguments, takes_command=takes_command)


@pytest.mark.parametrize(
    "arguments",
    [("--profile", "x"), ("--profile=x",), ("-p", "x"), ("-px",), ("-p=x",)],
)
def test_value_is_read_however_it_is_given(arguments: tuple[str, ...]) -> None:
    assert parse(*arguments).one("--profile") == "x"


def test_value_may_hold_an_equals_sign() -> None:
    assert parse("--read=/a=b").all("--read") == ["/a=b"]


def test_repeatable_option_keeps_its_order() -> None:
    assert parse("--read", "b", "--read", "a").all("--read") == ["b", "a"]


def test_command_after_separator_is_left_alone() -> None:
    given = parse("-q", "--", "ls", "--read", "--")
    assert (given.has_separator, given.command, given.words) == (True, ["ls", "--read", "--"], [])


def test_command_without_separator_begins_at_the_first_word() -> None:
    assert parse("-q", "ls", "--color").words == ["ls", "--color"]


def test_verb_without_command_reads_options_after_words() -> None:
    given = parse("name", "-q", takes_command=False)
    assert (given.words, given.has("--quiet")) == (["name"], True)


def test_single_dash_is_a_word() -> None:
    assert parse("-").words == ["-"]


@pytest.mark.parametrize(
    ("arguments", "message", "attempt"),
    [
        (("--profil", "x"), "there is no option --profil", "did you mean --profile?"),
        (("-z",), "there is no option -z", ""),
        (("-zx",), "there is no option -zx", ""),
        (("--quiet=yes",), "--quiet takes no value", "write --quiet alone"),
        (("--profile",), "--profile needs a value", "write --profile NAME"),
        (("--profile", "--", "ls"), "--profile needs a value", "write --profile NAME"),
        (("-p", "x", "--profile", "y"), "--profile was given twice", "give it once"),
        (("--\x1b[2J",), r"there is no option --\x1b[2J", ""),
    ],
)
def test_wrong_option_is_refused_with_advice(arguments: tuple[str, ...], message: str, attempt: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(*arguments)
    assert str(caught.value) == message
    assert attempt in caught.value.attempt


def test_switch_may_be_given_twice() -> None:
    assert parse("-q", "--quiet").has("--quiet")


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain é", "plain é"), ("a\x1b[2Jb", r"a\x1b[2Jb"), ("a\nb", r"a\nb"), ("\u202e", r"\u202e"), ("\udcff", r"\udcff")],
)
def test_text_from_outside_cannot_move_the_cursor(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_wrapped_lines_are_short_and_lose_nothing() -> None:
    text = "one two three four " * 9
    lines = wrap(text, 20)
    assert max(map(len, lines)) <= 20
    assert " ".join(lines).split() == text.split()


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_has_its_names(name: str) -> None:
    verb = load_verb(name)
    assert isinstance(verb, ModuleType)
    assert name == verb.NAME
    assert verb.SUMMARY
    assert not verb.SUMMARY.endswith(".")
    assert callable(verb.run)
    flags = [row.flag for row in verb.OPTIONS] + [row.short for row in verb.OPTIONS if row.short]
    assert len(flags) == len(set(flags))


@pytest.mark.parametrize("name", VERBS)
def test_help_page_has_every_option_and_fits(name: str) -> None:
    verb = load_verb(name)
    page = show_help(verb)
    assert all(row.flag in page for row in verb.OPTIONS)
    options = page.partition("options:")[2].partition("\n\n")[0]
    assert max(map(len, options.splitlines()), default=0) <= PAGE_WIDTH


def test_unknown_verb_names_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        load_verb("shwo")
    assert caught.value.attempt == "did you mean show?"
