"""Stamps change when a fact changes, and only then."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandboxer.kernel.stamp import MISSING, host_key, stamp


def test_stamp_of_an_unchanged_file_is_the_same(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("one")
    assert stamp(str(file)) == stamp(str(file))


def test_stamp_of_a_file_changes_with_its_content(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("one")
    before = stamp(str(file))
    file.write_text("three")
    assert stamp(str(file)) != before


def test_stamp_of_a_file_replaced_by_an_equal_one_changes(tmp_path: Path) -> None:
    file, other = tmp_path / "file", tmp_path / "other"
    for path in (file, other):
        path.write_text("one")
        os.utime(path, ns=(0, 0))
    before = stamp(str(file))
    other.rename(file)
    assert stamp(str(file)) != before


def test_stamp_of_a_file_changes_with_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("one")
    before = stamp(str(file))
    file.chmod(0o600 if file.stat().st_mode & 0o077 else 0o644)
    assert stamp(str(file)) != before


def test_stamp_of_a_directory_stays_when_a_file_is_made_in_it(tmp_path: Path) -> None:
    before = stamp(str(tmp_path))
    (tmp_path / "new").write_text("")
    assert stamp(str(tmp_path)) == before


def test_stamp_of_a_directory_replaced_by_a_file_changes(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    before = stamp(str(place))
    place.rmdir()
    place.write_text("")
    assert stamp(str(place)) != before


@pytest.mark.parametrize("name", ["none", "file/none"])
def test_stamp_of_a_missing_path_says_so(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    assert stamp(str(tmp_path / name)) == MISSING


def test_stamp_of_a_link_changes_with_what_it_leads_to(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("one")
    link.symlink_to(target)
    before = stamp(str(link))
    target.write_text("three")
    assert stamp(str(link)) != before


def test_stamp_of_a_link_changes_with_its_text(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("one")
    before = stamp(str(link))
    link.unlink()
    link.symlink_to("two")
    assert stamp(str(link)) != before


def test_host_key_of_one_process_is_stable() -> None:
    assert host_key() == host_key()


def test_host_key_depends_on_home() -> None:
    assert host_key({"HOME": "/one"}) != host_key({"HOME": "/two"})


def test_host_key_depends_on_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = host_key()
    monkeypatch.chdir(tmp_path)
    assert host_key() != before


def test_host_key_depends_on_hard_limits() -> None:
    code = (
        "import resource; from sandboxer.kernel.stamp import host_key; before = host_key();"
        "soft, hard = resource.getrlimit(7); resource.setrlimit(7, (hard - 1, hard - 1)); print(before != host_key())"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "True\n"


def test_stamp_module_imports_nothing_heavy() -> None:
    code = "import sys; before = set(sys.modules); import sandboxer.kernel.stamp; print(sorted(set(sys.modules) - before))"
    found = subprocess.check_output(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {os.getcwd()!r}); {code}"], text=True
    )
    assert found.strip() == "['__future__', 'sandboxer', 'sandboxer.kernel', 'sandboxer.kernel.stamp']"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
def test_host_key_changes_where_settings_of_the_kernel_become_read_only() -> None:
    code = "from sandboxer.kernel.stamp import host_key; print(hash(host_key({})))"
    look = f"{sys.executable} -c '{code}'"
    script = f"{look}; mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys; {look}"
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    words = ["unshare", "--mount", "sh", "-euc", script]
    before, after = subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout.split()
    assert before != after
