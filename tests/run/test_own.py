"""What sandboxer itself relies on is read-only in every box, or there is no box."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

import pytest

from sandboxer.controls.filesystem.settings import Settings
from sandboxer.errors import ProfileError
from sandboxer.run import own
from sandboxer.run.prepare import resolve_request
from sandboxer.run.request import Request


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project beside a home directory that has all that sandboxer keeps there."""
    project, home = tmp_path / "project", tmp_path / "home"
    project.mkdir()
    (home / ".config/sandboxer").mkdir(parents=True)
    (home / ".cache/sandboxer/plans").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(project)
    return project


def frozen(profile: str = "python", *, write: str = "") -> set[str]:
    """The paths that are read-only because they are ours."""
    policy = resolve_request(Request(profile, options=[("--write", write)] if write else [])).policy
    settings = policy.settings["filesystem"]
    assert isinstance(settings, Settings)
    return {item.value for item in settings.read_only if item.place == own.PLACE}


def test_ordinary_project_needs_nothing(project: Path) -> None:
    assert frozen() == set()


def test_plans_in_the_project_are_read_only(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = project / ".cache/sandboxer/plans"
    plans.mkdir(parents=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(project / ".cache"))
    assert frozen() == {str(plans)}


def test_what_lies_in_a_directory_that_is_kept_needs_no_mount_of_its_own(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = project / "own/sandboxer/plans"
    plans.mkdir(parents=True)
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(project / "own"))
    assert frozen() == {str(plans.parent)}
    (plans / "granted").mkdir()
    assert frozen(write=str(plans / "granted")) == {str(plans.parent), str(plans)}, "a mount lies in it: each is kept by itself"


def test_plans_in_a_mount_that_can_be_written_are_read_only(project: Path) -> None:
    home = project.parent / "home"
    (project / "mounted.yaml").write_text(
        "kind: profile\nname: mounted\ndescription: of a test\nextends: [default]\n"
        f"filesystem: {{mounts: [{{from: {home}/.cache, to: /caches, access: [write]}}]}}\n"
    )
    assert frozen("./mounted.yaml") == {str(home / ".cache/sandboxer/plans")}


def test_grant_within_the_plans_is_read_only(project: Path) -> None:
    plans = project.parent / "home/.cache/sandboxer/plans"
    (plans / "below").mkdir()
    assert str(plans) in frozen(write=str(plans / "below"))


@pytest.mark.parametrize(("variable", "missing"), [("XDG_CACHE_HOME", "sandboxer/plans"), ("XDG_CONFIG_HOME", "sandboxer")])
def test_directory_of_ours_that_a_job_could_make_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, variable: str, missing: str
) -> None:
    monkeypatch.setenv(variable, str(project / "here"))
    with pytest.raises(ProfileError, match=f"{project}/here/{missing}, which is not there yet"):
        frozen()
    (project / "here" / missing).mkdir(parents=True)
    assert frozen() == {str(project / "here" / missing)}


def test_directory_of_ours_behind_a_link_in_the_project_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "here").symlink_to(project.parent / "home/.cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(project / "here"))
    with pytest.raises(ProfileError, match=f"behind the link {project}/here"):
        frozen()


def test_profile_that_is_named_by_its_path_is_read_only(project: Path) -> None:
    (project / "mine.yaml").write_text("kind: profile\nname: mine\ndescription: of a test\nextends: [python]\n")
    assert frozen("./mine.yaml") == {str(project / "mine.yaml")}


def test_program_is_read_only_where_it_lies_in_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = os.path.dirname(os.path.dirname(os.path.abspath(own.__file__)))
    monkeypatch.chdir(os.path.dirname(package))
    assert package in frozen()


def test_python_of_a_virtual_environment_in_the_project_is_read_only(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".venv").mkdir()
    monkeypatch.setattr(sys, "prefix", str(project / ".venv"))
    assert frozen() == {str(project / ".venv")}


def test_grant_below_the_python_that_runs_us_stays(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(project.parent))
    assert frozen() == set()


def test_grant_of_the_whole_home_is_left_to_the_room(project: Path) -> None:
    assert frozen(write=str(project.parent / "home")) == set()


def test_grant_of_the_home_of_the_account_is_refused_under_another_home(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell of sudo may have kept HOME; the account's own start-up files are obeyed all the same."""
    account = pwd.struct_passwd(("someone", "x", os.getuid(), os.getgid(), "", str(project), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: account)
    with pytest.raises(ProfileError, match="the home directory of the caller's account"):
        frozen()
    (project / "below").mkdir()
    monkeypatch.chdir(project / "below")
    assert frozen() == set()
