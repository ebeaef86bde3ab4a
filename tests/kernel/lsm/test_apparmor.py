"""What the kernel says of AppArmor, out of files that a test wrote; and the parser's answers."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from sandboxer.errors import HostError
from sandboxer.kernel.lsm import apparmor
from sandboxer.kernel.lsm.apparmor import Noted


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory in which the kernel's files are: AppArmor is in use, and this process is unconfined."""
    for name, text in (("ENABLED", "Y\n"), ("OWN_LABEL", "unconfined\n"), ("REMOVE", "")):
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(apparmor, name, str(tmp_path / name))
    return tmp_path


@pytest.mark.parametrize("label", ["unconfined\n", "code (unconfined)\n"])
def test_unconfined_caller_has_no_label_of_his_own(told: Path, label: str) -> None:
    (told / "OWN_LABEL").write_text(label)
    assert (apparmor.find_apparmor_obstacle(), apparmor.find_own_label()) == (None, "")


@pytest.mark.parametrize("label", ["docker-default (enforce)", "a (complain)", "a//&b (mixed)"])
def test_caller_under_a_profile_has_it_and_can_give_labels(told: Path, label: str) -> None:
    (told / "OWN_LABEL").write_text(f"{label}\n")
    assert (apparmor.find_apparmor_obstacle(), apparmor.find_own_label()) == (None, label)


def test_label_that_cannot_be_read_is_in_the_way(told: Path) -> None:
    (told / "OWN_LABEL").write_text("")
    obstacle = apparmor.find_apparmor_obstacle()
    assert obstacle is not None
    assert "cannot be read" in obstacle.why


@pytest.mark.parametrize("text", ["N\n", ""])
def test_kernel_without_it_is_told(told: Path, text: str) -> None:
    (told / "ENABLED").write_text(text)
    obstacle = apparmor.find_apparmor_obstacle()
    assert obstacle is not None
    assert "apparmor=1" in obstacle.mend


def test_loaded_profile_is_told_as_the_kernel_notes_it_and_another_is_not(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain file gives back what was written, which no kernel does, and that is read."""
    (told / "next").write_text("")
    monkeypatch.setattr(apparmor, "_NEXT_LABEL", str(told / "next"))
    assert apparmor.ask_label("stack mine") == Noted("stack mine")
    monkeypatch.setattr(apparmor, "_NEXT_LABEL", str(told / "missing"))
    assert apparmor.ask_label("exec mine") == Noted(error=errno.ENOENT)


def parser(told: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    path = told / "parser"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(apparmor, "PARSERS", (str(path),))


def test_text_is_given_to_the_parser_whole(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parser(told, monkeypatch, f'cat > {told}/got; echo "$@" > {told}/words')
    apparmor.load_profile(b"profile x \xff {}\n", "x")
    assert (told / "got").read_bytes() == b"profile x \xff {}\n"
    assert (told / "words").read_text() == "--replace --skip-cache\n"


def test_what_the_parser_says_is_told(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parser(told, monkeypatch, "echo first >&2; echo 'syntax error, line 3' >&2; exit 1")
    with pytest.raises(HostError, match="apparmor_parser says: syntax error, line 3"):
        apparmor.load_profile(b"", "x")


def test_missing_parser_is_told_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apparmor, "PARSERS", ("/nowhere/apparmor_parser",))
    with pytest.raises(HostError, match="install the package `apparmor`"):
        apparmor.load_profile(b"", "x")


def test_profile_is_removed_by_its_name(told: Path) -> None:
    assert apparmor.remove_profile("sandboxer-1")
    assert (told / "REMOVE").read_text() == "sandboxer-1"


def test_kernel_that_does_not_let_remove_is_told(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apparmor, "REMOVE", str(told))
    with pytest.raises(HostError, match="was not removed"):
        apparmor.remove_profile("sandboxer-1")
