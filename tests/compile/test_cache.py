"""Plans on disk: what is kept comes back, what is stale, broken or somebody else's does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandboxer.compile import cache
from sandboxer.compile.cache import Entry, PlanCache, cache_path, entry_key, is_settled, read_entry, write_entry
from sandboxer.kernel.stamp import stamp

KEY = "k" * 40


def entry_of(*paths: Path) -> Entry:
    return Entry(
        b"SBXPLAN\x01....\x01\x00\x00\x00",
        passed=[b"LANG", b"LC_*"],
        fixed=[b"HOME=/h", b"EMPTY="],
        kept=[3, 7],
        holes=[100, 200],
        context=b"u:r:t:s0:c???,c???",
        handed=[0, 2],
        inputs=[(str(path), stamp(str(path))) for path in paths],
        about=b'{"a":1}',
    )


def always(_path: str) -> str:
    return "same"


@pytest.fixture
def plans(tmp_path: Path) -> PlanCache:
    return PlanCache(str(tmp_path / "cache" / "plans"))


def test_entry_comes_back_as_it_was() -> None:
    entry = entry_of(Path("/etc"), Path("/nonexistent"))
    back = read_entry(write_entry(entry))
    assert back is not None
    assert [getattr(back, name) for name in Entry.__slots__] == [getattr(entry, name) for name in Entry.__slots__]


def test_entry_without_anything_comes_back() -> None:
    back = read_entry(write_entry(Entry(b"")))
    assert back is not None
    assert (back.passed, back.fixed, back.kept, back.inputs) == ((), (), (), ())


@pytest.mark.parametrize("at", [0, 9, 41, 60, -1])
def test_entry_with_one_changed_byte_is_no_entry(at: int) -> None:
    data = bytearray(write_entry(entry_of()))
    data[at] ^= 1
    assert read_entry(bytes(data)) is None


@pytest.mark.parametrize("length", [0, 8, 39, 40, 60])
def test_entry_that_was_cut_is_no_entry(length: int) -> None:
    assert read_entry(write_entry(entry_of())[:length]) is None


def test_terminal_flag_is_read_from_the_plan() -> None:
    assert entry_of().is_terminal


def test_saved_entry_is_found(plans: PlanCache) -> None:
    assert plans.save(KEY, entry_of())
    found = plans.find(KEY, always)
    assert found is not None
    assert found.about == b'{"a":1}'


def test_other_key_finds_nothing(plans: PlanCache) -> None:
    plans.save(KEY, entry_of())
    assert plans.find("other", always) is None


def test_entry_is_stale_when_an_input_changes(plans: PlanCache, tmp_path: Path) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text("a")
    plans.save(KEY, entry_of(path))
    assert plans.find(KEY, stamp)
    path.write_text("ab")
    assert plans.find(KEY, stamp) is None


def test_entry_is_stale_when_a_missing_input_appears(plans: PlanCache, tmp_path: Path) -> None:
    path = tmp_path / "nearer.yaml"
    plans.save(KEY, entry_of(path))
    assert plans.find(KEY, stamp)
    path.write_text("")
    assert plans.find(KEY, stamp) is None


def test_entry_is_stale_when_an_input_disappears(plans: PlanCache, tmp_path: Path) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text("a")
    plans.save(KEY, entry_of(path))
    path.unlink()
    assert plans.find(KEY, stamp) is None


def test_entry_ends_with_its_override(plans: PlanCache, monkeypatch: pytest.MonkeyPatch) -> None:
    plans.save(KEY, Entry(b"plan", valid_until=1000))
    monkeypatch.setattr(cache, "time", lambda: 999)
    assert plans.find(KEY, always)
    monkeypatch.setattr(cache, "time", lambda: 1000)
    assert plans.find(KEY, always) is None


def test_broken_file_is_ignored_and_replaced(plans: PlanCache) -> None:
    plans.save(KEY, entry_of())
    path = Path(plans.path, KEY)
    path.write_bytes(b"SBXPLN\x01\nnonsense")
    assert plans.find(KEY, always) is None
    plans.save(KEY, entry_of())
    assert plans.find(KEY, always)


def test_directories_are_made_for_the_caller_alone(plans: PlanCache) -> None:
    plans.save(KEY, entry_of())
    assert (os.stat(plans.path).st_mode & 0o777, os.stat(f"{plans.path}/{KEY}").st_mode & 0o777) == (0o700, 0o600)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o755, 0o777])
def test_directory_that_others_can_enter_is_not_used(plans: PlanCache, mode: int) -> None:
    plans.save(KEY, entry_of())
    os.chmod(plans.path, mode)
    assert plans.find(KEY, always) is None
    assert not plans.save(KEY, entry_of())


def test_directory_of_somebody_else_is_not_used(plans: PlanCache, monkeypatch: pytest.MonkeyPatch) -> None:
    plans.save(KEY, entry_of())
    uid = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert plans.find(KEY, always) is None
    assert not plans.save(KEY, entry_of())


def test_directory_that_is_a_link_is_not_used(plans: PlanCache, tmp_path: Path) -> None:
    plans.save(KEY, entry_of())
    link = tmp_path / "link"
    link.symlink_to(plans.path)
    assert PlanCache(str(link)).find(KEY, always) is None


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_file_that_others_can_write_is_not_used(plans: PlanCache, mode: int) -> None:
    plans.save(KEY, entry_of())
    os.chmod(f"{plans.path}/{KEY}", mode)
    assert plans.find(KEY, always) is None


def test_file_that_is_a_link_is_not_used(plans: PlanCache) -> None:
    plans.save(KEY, entry_of())
    os.symlink(KEY, f"{plans.path}/other")
    assert plans.find("other", always) is None


def test_pipe_in_the_directory_does_not_block(plans: PlanCache) -> None:
    plans.save(KEY, entry_of())
    os.mkfifo(f"{plans.path}/fifo", 0o600)
    assert plans.find("fifo", always) is None


def test_parent_that_others_can_write_gets_no_cache(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    assert not PlanCache(str(shared / "sandboxer" / "plans")).save(KEY, entry_of())
    assert list(shared.iterdir()) == []


def test_no_directory_means_no_cache() -> None:
    nothing = PlanCache("")
    assert not nothing.save(KEY, entry_of())
    assert nothing.find(KEY, always) is None


def test_oldest_entries_make_room(plans: PlanCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_ENTRIES", 4)
    monkeypatch.setattr(cache, "ENTRIES_KEPT", 2)
    for number in range(5):
        plans.save(f"k{number}", entry_of())
        if number < 4:
            os.utime(f"{plans.path}/k{number}", (number, number))
    assert sorted(os.listdir(plans.path)) == ["k3", "k4"]


def test_entry_has_no_name_until_it_is_whole(plans: PlanCache, monkeypatch: pytest.MonkeyPatch) -> None:
    plans.save(KEY, entry_of())
    seen: list[list[str]] = []
    write = os.write

    def look_and_write(descriptor: int, data: bytes) -> int:
        seen.append(os.listdir(plans.path))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", look_and_write)
    assert plans.save("other", entry_of())
    assert seen == [[KEY]]
    assert sorted(os.listdir(plans.path)) == sorted([KEY, "other"])


def test_left_over_of_a_killed_writer_does_not_stop_the_next(plans: PlanCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a filesystem without O_TMPFILE a killed writer leaves a file, and the next one that would have its name removes it."""
    monkeypatch.setattr("sandboxer.compile.cache._write_unnamed", lambda *_: False)
    plans.save(KEY, entry_of())
    Path(plans.path, f".{KEY}.{os.getpid()}").write_text("half")
    assert not plans.save(KEY, entry_of())
    assert plans.save(KEY, entry_of())


def test_key_depends_on_every_part_and_its_borders() -> None:
    keys = {entry_key(parts) for parts in (["a", "b"], ["ab"], ["b", "a"], ["a", "b", ""], ["\udcff"])}
    assert len(keys) == 5


def test_key_is_the_same_for_the_same_parts() -> None:
    assert entry_key(["a", "b"]) == entry_key(iter(("a", "b")))


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({b"HOME": b"/home/joe"}, "/home/joe/.cache/sandboxer/plans"),
        ({b"HOME": b"/home/joe", b"XDG_CACHE_HOME": b"/cache/"}, "/cache/sandboxer/plans"),
        ({b"HOME": b"/home/joe", b"XDG_CACHE_HOME": b"relative"}, "/home/joe/.cache/sandboxer/plans"),
        ({b"HOME": b"relative"}, ""),
        ({}, ""),
    ],
)
def test_cache_path_follows_the_environment(environment: dict[bytes, bytes], path: str) -> None:
    assert cache_path(environment) == path


def test_file_that_changed_just_now_is_not_settled(tmp_path: Path) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text("a")
    changed_ns = path.stat().st_ctime_ns
    assert not is_settled([str(path)], changed_ns)
    assert is_settled([str(path), str(tmp_path / "missing")], changed_ns + 2 * cache.RECENT_NS)


def test_link_to_a_file_that_changed_lately_is_not_settled(tmp_path: Path) -> None:
    """People keep their profiles elsewhere and link them."""
    path, link = tmp_path / "profile.yaml", tmp_path / "link.yaml"
    path.write_text("a")
    link.symlink_to(path)
    changed_ns = path.stat().st_ctime_ns
    assert not is_settled([str(link)], changed_ns)
    assert is_settled([str(link)], changed_ns + 2 * cache.RECENT_NS)
