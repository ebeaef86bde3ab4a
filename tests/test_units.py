"""Text to numbers and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxer.units import (
    UNLIMITED,
    UnitError,
    parse_bytes,
    parse_cpu_list,
    parse_duration_ms,
    show_bytes,
    show_cpu_list,
    show_duration_ms,
)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("4096", 4096),
        ("4096B", 4096),
        ("64K", 65536),
        ("64k", 65536),
        ("64KiB", 65536),
        ("512M", 512 << 20),
        ("1.5G", 1536 << 20),
        ("2 TiB", 2 << 40),
    ],
)
def test_bytes_with_a_known_unit_are_read(text: str, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize(
    "text", ["", "M", "-1", "1e3", "64X", "64MB", "64Mi", "0.3K", "9E", "16384P", "0x10", "\u0661", "1" * 100]
)
def test_bytes_that_are_unclear_are_refused(text: str) -> None:
    with pytest.raises(UnitError):
        parse_bytes(text)


def test_bytes_with_an_ambiguous_unit_name_both_readings() -> None:
    with pytest.raises(UnitError) as caught:
        parse_bytes("64MB")
    assert caught.value.why == "MB is 1000-based to some and 1024-based to others"
    assert caught.value.attempt == "64M or 64MiB (both 1024-based)"


@pytest.mark.parametrize(
    ("text", "duration_ms"),
    [("0", 0), ("250ms", 250), ("10s", 10_000), ("1.5s", 1500), ("5m", 300_000), ("1h30m", 5_400_000), ("2d", 172_800_000)],
)
def test_duration_with_a_unit_is_read(text: str, duration_ms: int) -> None:
    assert parse_duration_ms(text) == duration_ms


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "30m1h", "1s1s", "1w", "0.1ms", "10 s", "9" * 30 + "d"])
def test_duration_that_is_unclear_is_refused(text: str) -> None:
    with pytest.raises(UnitError):
        parse_duration_ms(text)


def test_duration_without_a_unit_says_how_to_write_seconds() -> None:
    with pytest.raises(UnitError) as caught:
        parse_duration_ms("10")
    assert caught.value.attempt == "10s for seconds, or ms, m, h, d"


@given(st.integers(min_value=0, max_value=(1 << 63) - 1))
def test_bytes_shown_are_read_back_as_the_same(count: int) -> None:
    assert parse_bytes(show_bytes(count)) == count


@given(st.integers(min_value=0, max_value=(1 << 53) - 1))
def test_duration_shown_is_read_back_as_the_same(duration_ms: int) -> None:
    assert parse_duration_ms(show_duration_ms(duration_ms)) == duration_ms


def test_no_limit_is_shown_as_unlimited() -> None:
    assert (show_bytes(UNLIMITED), show_duration_ms(UNLIMITED)) == ("unlimited", "unlimited")


@pytest.mark.parametrize(
    ("text", "mask"), [("0", 1), ("0-3", 0b1111), ("5,0-1", 0b100011), (" 2 , 2-3", 0b1100), ("8191", 1 << 8191)]
)
def test_cpu_list_is_read(text: str, mask: int) -> None:
    assert parse_cpu_list(text, most=8191) == mask


@pytest.mark.parametrize("text", ["", ",", "0,", "-1", "1-", "3-1", "0-8192", "a", "0-1-2", "0:2", "0," * 3000])
def test_cpu_list_that_is_unclear_is_refused(text: str) -> None:
    with pytest.raises(UnitError):
        parse_cpu_list(text, most=8191)


@given(st.sets(st.integers(0, 200), min_size=1))
def test_cpu_list_shown_is_read_back_as_the_same(numbers: set[int]) -> None:
    mask = sum(1 << number for number in numbers)
    assert parse_cpu_list(show_cpu_list(mask), most=200) == mask


def test_cpu_list_is_shown_in_its_shortest_form() -> None:
    assert show_cpu_list(0b1011101) == "0,2-4,6"
    assert (show_cpu_list(0), show_cpu_list(UNLIMITED)) == ("", "unlimited")
