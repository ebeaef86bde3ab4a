"""Changes that a job has chosen, met with a directory of the host: what is applied, and what is refused."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxer.errors import UnsupportedError
from sandboxer.sessions.changes import Action, Change, Kind, find_changes
from sandboxer.sessions.commit import Committed, commit, stays_below
from sandboxer.sessions.layers import ORDINARY, make_opaque
from tests.live.needs import needs


class Layers:
    """An upper layer that a test writes by hand, above a directory of the host."""

    def __init__(self, place: Path) -> None:
        self.upper, self.host, self.outside = place / "upper", place / "host", place / "outside"
        for path in (self.upper, self.host, self.outside):
            path.mkdir()
        (self.outside / "secret").write_text("secret")

    def changes(self) -> tuple[Change, ...]:
        upper, lower = (os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (self.upper, self.host))
        try:
            return tuple(find_changes(upper, lower, ORDINARY))
        finally:
            os.close(upper)
            os.close(lower)

    def commit(self, changes: tuple[Change, ...] | None = None, *, links: bool = False) -> Committed:
        found = self.changes() if changes is None else changes
        upper, host = (os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (self.upper, self.host))
        try:
            return commit(upper, host, found, links=links)
        finally:
            os.close(upper)
            os.close(host)


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    return Layers(tmp_path)


def whiteout(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR, 0)


def told(changes: tuple[Change, ...]) -> list[str]:
    return [str(change) for change in changes]


def why(done: Committed) -> dict[str, str]:
    return {item.name: item.why for item in done.refused}


def test_added_modified_and_removed(layers: Layers) -> None:
    for name in ("old", "same", "gone"):
        (layers.host / name).write_text(name)
    (layers.upper / "old").write_text("changed")
    (layers.upper / "same").write_text("same")
    (layers.upper / "new").write_text("new")
    (layers.upper / "more").mkdir()
    (layers.upper / "more/file").write_text("x")
    whiteout(layers.upper / "gone")
    assert told(layers.changes()) == [
        "removed file gone", "added directory more", "added file more/file", "added file new", "modified file old",
    ]  # fmt: skip
    done = layers.commit()
    assert (len(done.applied), done.refused) == (5, ())
    assert {path.name: path.read_text() for path in layers.host.iterdir() if path.is_file()} == {
        "old": "changed", "same": "same", "new": "new",
    }  # fmt: skip
    assert layers.changes() == ()


def test_change_says_its_size_and_mode(layers: Layers) -> None:
    (layers.upper / "file").write_text("12345")
    (layers.upper / "file").chmod(0o640)
    assert layers.changes() == (Change(Action.ADDED, "file", Kind.FILE, 5, 0o640),)


def test_mode_alone_is_a_change(layers: Layers) -> None:
    for place in (layers.host, layers.upper):
        (place / "file").write_text("x")
    (layers.upper / "file").chmod(0o755)
    assert told(layers.changes()) == ["modified file file"]
    layers.commit()
    assert (layers.host / "file").stat().st_mode & 0o777 == 0o755


def test_directory_that_was_made_anew_hides_what_was_below(layers: Layers) -> None:
    (layers.host / "sub").mkdir()
    (layers.host / "sub/below").write_text("x")
    (layers.host / "sub/both").write_text("x")
    (layers.upper / "sub").mkdir()
    (layers.upper / "sub/both").write_text("y")
    descriptor = os.open(layers.upper / "sub", os.O_RDONLY)
    make_opaque(descriptor, ORDINARY)
    os.close(descriptor)
    assert told(layers.changes()) == ["removed file sub/below", "modified file sub/both"]
    layers.commit()
    assert os.listdir(layers.host / "sub") == ["both"]


@pytest.mark.parametrize("below", ["file", "directory", "link"])
def test_one_kind_in_place_of_another(layers: Layers, below: str) -> None:
    if below == "file":
        (layers.host / "it").write_text("x")
    elif below == "link":
        (layers.host / "it").symlink_to(layers.outside)
    else:
        (layers.host / "it").mkdir()
        (layers.host / "it/inner").write_text("x")
    if below == "directory":
        (layers.upper / "it").write_text("y")
    else:
        (layers.upper / "it").mkdir()
        (layers.upper / "it/inner").write_text("y")
    assert not layers.commit().refused
    assert (layers.host / ("it" if below == "directory" else "it/inner")).read_text() == "y"
    assert os.listdir(layers.outside) == ["secret"]


def test_what_is_no_file_is_refused(layers: Layers) -> None:
    os.mkfifo(layers.upper / "fifo")
    (layers.upper / "link").symlink_to("/etc/passwd")
    done = layers.commit()
    assert why(done) == {"fifo": "it is a fifo", "link": "it is a symbolic link, and links are not asked for"}
    assert os.listdir(layers.host) == []


@needs("root")
def test_device_and_set_id_do_not_go_along(layers: Layers) -> None:
    os.mknod(layers.upper / "disk", stat.S_IFBLK | 0o666, os.makedev(7, 0))
    (layers.upper / "program").write_text("x")
    (layers.upper / "program").chmod(0o6755)
    (layers.upper / "given").mkdir()
    (layers.upper / "given").chmod(0o2777)
    done = layers.commit()
    assert why(done) == {"disk": "it is a device"}
    assert (layers.host / "program").stat().st_mode & 0o7777 == 0o755
    assert (layers.host / "given").stat().st_mode & 0o7777 == 0o777


@needs("root")
def test_file_belongs_to_whom_the_one_before_belonged(layers: Layers) -> None:
    (layers.host / "theirs").write_text("x")
    os.chown(layers.host / "theirs", 4321, 4322)
    (layers.upper / "theirs").write_text("y")
    layers.commit()
    assert ((layers.host / "theirs").stat().st_uid, (layers.host / "theirs").stat().st_gid) == (4321, 4322)


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "\u202e"])
def test_name_that_is_not_plain_text_is_refused_and_shown_escaped(layers: Layers, name: str) -> None:
    (layers.upper / name).write_text("x")
    (change,) = layers.changes()
    assert str(change).isprintable()
    (refused,) = layers.commit().refused
    assert (refused.why, refused.name.isprintable()) == ("its name is not plain text", True)
    assert os.listdir(layers.host) == []


@pytest.mark.parametrize("target", ["/etc", "..", "../outside", "a/../../b", "sub/../../x", ""])
def test_link_that_leads_out_is_refused_even_where_links_are_asked_for(target: str) -> None:
    assert not stays_below("link", target)


@pytest.mark.parametrize(("path", "target"), [("a", "b"), ("a/b", "../c"), ("a", "./b/c"), ("a/b/c", "../../d")])
def test_link_that_stays_is_taken_where_links_are_asked_for(layers: Layers, path: str, target: str) -> None:
    assert stays_below(path, target)
    (layers.upper / path).parent.mkdir(parents=True, exist_ok=True)
    (layers.upper / path).symlink_to(target)
    assert not layers.commit(links=True).refused
    assert os.readlink(layers.host / path) == target


@given(st.lists(st.sampled_from(["..", ".", "a"]), min_size=1, max_size=6), st.integers(0, 3))
def test_link_stays_as_the_text_says(parts: list[str], depth: int) -> None:
    walked = [depth]
    for part in parts:
        walked.append(walked[-1] + {"..": -1, ".": 0, "a": 1}[part])
    assert stays_below("/".join("d" * (depth + 1)), "/".join(parts)) == (min(walked) >= 0)


def test_link_in_the_directory_is_not_followed(layers: Layers) -> None:
    """Somebody has put it there since the changes were found."""
    (layers.upper / "sub").mkdir()
    (layers.upper / "sub/secret").write_text("hostile")
    changes = layers.changes()
    (layers.host / "sub").symlink_to(layers.outside)
    assert set(why(layers.commit(changes))) == {"sub", "sub/secret"}
    assert (layers.outside / "secret").read_text() == "secret"


def test_link_among_the_changes_is_not_followed(layers: Layers) -> None:
    (layers.upper / "sub").mkdir()
    (layers.upper / "sub/secret").write_text("x")
    changes = layers.changes()
    (layers.upper / "sub/secret").unlink()
    (layers.upper / "sub").rmdir()
    (layers.upper / "sub").symlink_to(layers.outside)
    assert set(why(layers.commit(changes))) == {"sub/secret"}
    assert not (layers.host / "sub/secret").exists()


def test_removal_is_not_led_elsewhere(layers: Layers) -> None:
    (layers.host / "sub").mkdir()
    (layers.host / "sub/secret").write_text("x")
    whiteout(layers.upper / "sub")
    changes = layers.changes()
    assert told(changes) == ["removed directory sub"]
    (layers.host / "sub/secret").unlink()
    (layers.host / "sub").rmdir()
    (layers.host / "sub").symlink_to(layers.outside)
    assert why(layers.commit(changes)) == {"sub": "it is something else by now"}
    assert (layers.outside / "secret").exists()


def test_link_at_the_place_of_a_file_is_replaced_and_not_written_through(layers: Layers) -> None:
    (layers.upper / "file").write_text("hostile")
    changes = layers.changes()
    (layers.host / "file").symlink_to(layers.outside / "secret")
    assert not layers.commit(changes).refused
    assert (layers.outside / "secret").read_text() == "secret"
    assert (layers.host / "file").read_text() == "hostile"
    assert not (layers.host / "file").is_symlink()


def test_race_with_somebody_who_swaps_a_directory_for_a_link(layers: Layers) -> None:
    """Whatever comes first, nothing outside is touched."""
    (layers.upper / "sub").mkdir()
    for number in range(20):
        (layers.upper / f"sub/{number}").write_text("hostile")
    changes = layers.changes()
    (layers.host / "sub").mkdir()
    (layers.host / "link").symlink_to(layers.outside)
    is_over = threading.Event()

    def swap() -> None:
        while not is_over.is_set():
            for one, other in (("sub", "kept"), ("link", "sub"), ("sub", "link"), ("kept", "sub")):
                try:
                    os.rename(layers.host / one, layers.host / other)
                except OSError:
                    pass  # the commit has made it anew

    thread = threading.Thread(target=swap)
    thread.start()
    for _ in range(30):
        layers.commit(changes)
    is_over.set()
    thread.join()
    assert os.listdir(layers.outside) == ["secret"]


def test_file_is_never_seen_in_part(layers: Layers) -> None:
    old, new = b"o" * 300_000, b"n" * 300_000
    (layers.host / "file").write_bytes(old)
    (layers.upper / "file").write_bytes(new)
    changes = layers.changes()
    seen = set()
    is_over = threading.Event()

    def look() -> None:
        while not is_over.is_set():
            seen.add((layers.host / "file").read_bytes())

    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(20):
        layers.commit(changes)
    is_over.set()
    thread.join()
    assert seen <= {old, new}
    assert os.listdir(layers.host) == ["file"]


def test_file_that_cannot_be_put_leaves_nothing_half_done(layers: Layers) -> None:
    (layers.upper / "file").write_text("x")
    changes = layers.changes()
    (layers.host / "file").mkdir()
    assert why(layers.commit(changes)) == {"file": "a directory is there"}
    assert os.listdir(layers.host) == ["file"]


def test_directory_that_nobody_may_enter_is_its_owners_when_it_is_committed(layers: Layers) -> None:
    (layers.upper / "shut").mkdir()
    (layers.upper / "shut/file").write_text("x")
    (layers.upper / "shut/file").chmod(0)
    (layers.upper / "shut").chmod(0)
    assert not layers.commit().refused
    assert (layers.host / "shut").stat().st_mode & 0o7777 == 0o700
    assert (layers.host / "shut/file").stat().st_mode & 0o7777 == 0
    assert (layers.upper / "shut").stat().st_mode & 0o7777 == 0


def test_attributes_that_a_job_can_set_say_nothing(layers: Layers) -> None:
    (layers.host / "sub").mkdir()
    (layers.host / "sub/below").write_text("x")
    (layers.upper / "sub").mkdir()
    for name in ("opaque", "redirect"):
        os.setxattr(layers.upper / "sub", f"user.overlay.overlay.{name}", b"y")
    assert layers.changes() == ()


def test_redirect_of_the_kernel_is_told_and_not_guessed(layers: Layers) -> None:
    (layers.host / "sub").mkdir()
    (layers.upper / "sub").mkdir()
    os.setxattr(layers.upper / "sub", "user.overlay.redirect", b"/elsewhere")
    with pytest.raises(UnsupportedError, match="cannot be told"):
        layers.changes()


@pytest.mark.parametrize("place", ["", "sub/"])
def test_profiles_of_later_runs_are_refused(layers: Layers, place: str) -> None:
    (layers.upper / f"{place}.sandboxer/profiles").mkdir(parents=True)
    (layers.upper / f"{place}.sandboxer/profiles/python.yaml").write_text("hostile")
    (layers.upper / f"{place}sandboxer").write_text("plain")
    done = layers.commit()
    assert {item.why for item in done.refused} == {"what is in .sandboxer decides what later runs may do"}
    assert (layers.host / f"{place}sandboxer").read_text() == "plain"
    assert not (layers.host / f"{place}.sandboxer").exists()


def test_removal_of_such_profiles_is_refused_too(layers: Layers) -> None:
    (layers.host / ".sandboxer").mkdir()
    whiteout(layers.upper / ".sandboxer")
    assert len(layers.commit().refused) == 1
    assert (layers.host / ".sandboxer").is_dir()
