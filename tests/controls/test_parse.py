"""The shared readers of nodes: typed values, and errors with a caret."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxer.controls import parse
from sandboxer.errors import ProfileError
from sandboxer.model.node import Mapping, Node, parse_node
from sandboxer.units import UNLIMITED


def node(text: str) -> Node:
    """The node behind `value:`."""
    found = parse_node(f"value: {text}\n".encode(), "t.yaml")
    assert isinstance(found, Mapping)
    return found.entries[0][1]


def refusal(read: parse.Read[object], text: str) -> str:
    """The whole message for a text that is refused."""
    with pytest.raises(ProfileError) as caught:
        read(node(text))
    return str(caught.value)


def test_error_shows_place_line_caret_why_and_try() -> None:
    assert refusal(parse.integer(least=1, most=9), "12") == (
        "t.yaml:1:8: 12 is out of range\n  1 | value: 12\n    |        ^\n  why: this is a whole number from 1 to 9"
    )


def test_text_takes_a_number_as_written() -> None:
    assert parse.text(node("12")) == "12"


@pytest.mark.parametrize("text", ["true", "[a]", "{a: b}"])
def test_text_of_another_kind_is_refused(text: str) -> None:
    assert "expected a text" in refusal(parse.text, text)


def test_word_with_dashes_is_taken() -> None:
    assert parse.word(node("read-only_2")) == "read-only_2"


@pytest.mark.parametrize("text", ['"two words"', '"-x"', '"a/b"', '""'])
def test_word_with_other_characters_is_refused(text: str) -> None:
    assert "is not a plain word" in refusal(parse.word, text)


def test_integer_within_bounds_is_taken() -> None:
    assert parse.integer(least=1, most=9)(node("9")) == 9


@pytest.mark.parametrize("text", ["true", '"1.5"', "many", "[1]"])
def test_integer_of_another_kind_is_refused(text: str) -> None:
    assert "expected a whole number" in refusal(parse.integer(), text)


def test_boolean_is_taken() -> None:
    assert parse.boolean(node("false")) is False


@pytest.mark.parametrize("text", ["1", '"true"', "maybe"])
def test_boolean_of_another_kind_is_refused(text: str) -> None:
    assert "expected true or false" in refusal(parse.boolean, text)


def test_octal_in_quotes_is_taken() -> None:
    assert parse.octal()(node('"0750"')) == 0o750


@pytest.mark.parametrize("text", ["22", '"8"', '"77777"'])
def test_octal_without_quotes_or_out_of_range_is_refused(text: str) -> None:
    assert "octal mode" in refusal(parse.octal(), text) or "out of range" in refusal(parse.octal(), text)


def test_size_with_a_unit_is_taken() -> None:
    assert parse.size_bytes()(node("64M")) == 64 << 20


def test_size_with_an_ambiguous_unit_is_refused_with_advice() -> None:
    assert refusal(parse.size_bytes(), "64MB").endswith("  try: 64M or 64MiB (both 1024-based)")


def test_size_unlimited_is_taken_only_where_it_is_allowed() -> None:
    assert parse.size_bytes(can_be_unlimited=True)(node("unlimited")) == UNLIMITED
    assert "is not a size" in refusal(parse.size_bytes(), "unlimited")


def test_duration_with_a_unit_is_taken() -> None:
    assert parse.duration_ms()(node("1h30m")) == 5_400_000


def test_duration_without_a_unit_is_refused_with_advice() -> None:
    assert refusal(parse.duration_ms(), "10").endswith("  try: 10s for seconds, or ms, m, h, d")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/usr/lib", "/usr/lib"),
        ("/usr//lib/", "/usr/lib"),
        ("//usr", "/usr"),
        ("/usr/./lib/../bin", "/usr/bin"),
        ("/../../etc", "/etc"),
        ("/", "/"),
        ('"~"', "~"),
        ("~/x/../y", "~/y"),
        ("~/../../etc", "~/etc"),
    ],
)
def test_path_is_normalised(text: str, path: str) -> None:
    assert parse.absolute_path(node(text)) == path


@pytest.mark.parametrize("text", ["usr/lib", "./x", "~root/x", "/usr/*", '"/a[b]"', '""', "/" + "x" * 256])
def test_path_that_is_no_plain_absolute_one_is_refused(text: str) -> None:
    assert refusal(parse.absolute_path, text).startswith("t.yaml:1:8: ")


def test_path_that_is_relative_names_the_ways_to_write_it() -> None:
    assert refusal(parse.absolute_path, "./x").endswith("  try: ${cwd}/x, ~/x or /x")


@given(st.lists(st.sampled_from(["a", "b", ".", "..", "", "..."]), max_size=8))
def test_path_normalised_never_climbs(parts: list[str]) -> None:
    path = parse.normal_path("/" + "/".join(parts))
    assert path.startswith("/")
    assert not {".", ".."} & set(path.split("/"))
    assert parse.normal_path(path) == path


def test_home_is_put_in_where_it_is_known() -> None:
    assert parse.at_home("~/x", "/home/user") == "/home/user/x"
    assert parse.at_home("/x", "/home/user") == "/x"


def test_name_of_the_table_is_taken() -> None:
    assert parse.name_in(("loopback", "none"), "mode")(node("none")) == "none"


def test_name_that_is_unknown_names_the_nearest() -> None:
    assert refusal(parse.name_in(("loopback", "none"), "mode"), "lopback").endswith(
        "t.yaml:1:8: unknown mode 'lopback'\n  1 | value: lopback\n    |        ^\n  try: did you mean loopback?"
    )


def test_list_says_every_item_at_its_place() -> None:
    said = parse.each(parse.integer())(node("[1, 2]"))
    assert [(item.value, item.place.column) for item in said] == [(1, 9), (2, 12)]


def test_list_reports_all_wrong_items_at_once() -> None:
    with pytest.raises(ProfileError) as caught:
        parse.each(parse.integer())(node("[a, 2, b]"))
    assert [problem.what for problem in caught.value.problems] == [
        "expected a whole number, found 'a'",
        "expected a whole number, found 'b'",
    ]


def test_list_that_is_none_is_refused_with_advice() -> None:
    with pytest.raises(ProfileError, match=r"try: \[1\]"):
        parse.each(parse.integer())(node("1"))


def test_entries_are_pairs_at_the_place_of_the_name() -> None:
    said = parse.entries(parse.variable_name, parse.text)(node("{A: x, B: 2}"))
    assert [item.value for item in said] == [("A", "x"), ("B", "2")]
    assert said[0].place.column == 9


def test_entries_with_wrong_names_and_values_report_all() -> None:
    with pytest.raises(ProfileError) as caught:
        parse.entries(parse.variable_name, parse.text)(node('{"1A": x, B: [2]}'))
    assert len(caught.value.problems) == 2


def test_record_gives_its_entries() -> None:
    found = parse.record(node("{path: /x, size: 1M}"), ("path",), ("size",), "a tmpfs")
    assert sorted(found) == ["path", "size"]


def test_record_with_unknown_and_missing_entries_reports_both() -> None:
    with pytest.raises(ProfileError) as caught:
        parse.record(node("{pth: /x}"), ("path",), ("size",), "a tmpfs")
    assert [problem.what for problem in caught.value.problems] == ["a tmpfs has no 'pth'", "a tmpfs needs path"]


@pytest.mark.parametrize("text", ["LANG", "LC_*", '"*"'])
def test_variable_pattern_is_taken(text: str) -> None:
    assert parse.variable_pattern(node(text)) == text.strip('"')


@pytest.mark.parametrize("text", ['"*X"', '"A*B"', '"1*"', '"A=B"', '""', '"**"'])
def test_variable_pattern_of_another_form_is_refused(text: str) -> None:
    assert "cannot name variables" in refusal(parse.variable_pattern, text)
