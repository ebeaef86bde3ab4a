"""The cold start: what goes into an entry, and when an entry is stale."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandboxer.compile.cache import Entry, PlanCache
from sandboxer.compile.encode import decode_ops
from sandboxer.errors import ProfileError
from sandboxer.kernel.stamp import stamp
from sandboxer.model.host import Host, PathFact, PathKind
from sandboxer.model.op import LoadWatchedFilter, SetHostName, SetWorkingDirectory
from sandboxer.model.plan import Plan
from sandboxer.model.policy import Policy
from sandboxer.run import prepare as cold
from sandboxer.run.about import read_about
from sandboxer.run.prepare import own_sources, prepare
from sandboxer.run.request import Request

KEY = "k" * 40
PROFILE = "kind: profile\nname: mine\ndescription: of a test\nextends: [default]\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one profile, which was there long ago."""
    project, home = tmp_path / "project", tmp_path / "home"
    (project / ".sandboxer" / "profiles").mkdir(parents=True)
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.chdir(project)
    monkeypatch.setattr(cold, "is_settled", lambda paths, begun_ns: True)
    return project


def write_profile(project: Path, more: str = "") -> Path:
    path = project / ".sandboxer" / "profiles" / "mine.yaml"
    path.write_text(PROFILE + more)
    return path


def plans(project: Path) -> PlanCache:
    return PlanCache(str(project.parent / "cache" / "plans"))


def made(request: Request, project: Path) -> Entry:
    return prepare(request, KEY, plans(project))


def found(project: Path) -> Entry | None:
    return plans(project).find(KEY, stamp)


def test_working_directory_that_became_a_link_is_refused() -> None:
    """A job above it may swap it between our question for its name and our look at what is there."""
    host = Host(paths={"/p": PathFact(PathKind.DIRECTORY), "/p/work": PathFact(PathKind.SYMLINK, target="/etc")})
    with pytest.raises(ProfileError, match="somebody has moved the working directory /p/work/here"):
        cold.check_directory_stayed("/p/work/here", host)
    cold.check_directory_stayed("/p", host)
    cold.check_directory_stayed("/", host)


def test_entry_is_kept_under_its_key(project: Path) -> None:
    write_profile(project)
    entry = made(Request("mine"), project)
    kept = found(project)
    assert kept is not None
    assert kept.plan == entry.plan


def test_entry_is_stale_when_its_profile_changes(project: Path) -> None:
    path = write_profile(project)
    made(Request("mine"), project)
    path.write_text(path.read_text() + "process: {hostname: other}\n")
    assert found(project) is None


def test_entry_is_stale_when_a_policy_that_it_includes_changes(project: Path) -> None:
    policy = project / ".sandboxer" / "policies" / "extra.yaml"
    policy.parent.mkdir()
    policy.write_text("kind: policy\nname: extra\ndescription: of a test\n")
    write_profile(project, "policies: [extra]\n")
    made(Request("mine"), project)
    assert found(project)
    policy.write_text(policy.read_text() + "limits: {open_files: 64}\n")
    assert found(project) is None


def test_entry_is_stale_when_a_nearer_profile_appears(project: Path) -> None:
    write_profile(project)
    below = project / "below"
    (below / ".sandboxer" / "profiles").mkdir(parents=True)
    os.chdir(below)
    made(Request("mine"), project)
    assert found(project)
    (below / ".sandboxer" / "profiles" / "mine.yaml").write_text(PROFILE)
    assert found(project) is None


def test_entry_is_stale_when_a_granted_path_appears(project: Path) -> None:
    late = project.parent / "late"
    write_profile(project, f"filesystem: {{read: [{late}?]}}\n")
    made(Request("mine"), project)
    assert found(project)
    late.mkdir()
    assert found(project) is None


def test_entry_stays_when_files_are_made_beside_what_it_reads(project: Path) -> None:
    write_profile(project)
    made(Request("mine"), project)
    (project / "new.txt").write_text("x")
    assert found(project)


def test_entry_that_is_not_settled_is_not_kept(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    os.chdir(project)
    made(Request(str(write_profile(project))), project)
    assert found(project) is None


def test_entry_depends_on_our_own_sources() -> None:
    assert cold.__file__ in own_sources()


def test_option_is_told_with_the_place_that_allows_it(project: Path) -> None:
    about = read_about(made(Request("default", options=[("--read", str(project)), ("--timeout", "5s")]), project).about)
    read, timeout = about.options
    assert read.text == f"--read {project}"
    assert read.allowance is not None
    assert read.allowance.file.endswith("default.yaml")
    assert timeout.allowance is None


def test_variable_that_the_profile_denies_is_refused(project: Path) -> None:
    write_profile(project, "environment: {deny: [SECRET]}\n")
    with pytest.raises(ProfileError, match="SECRET"):
        made(Request("mine", options=[("--env", "SECRET=1")]), project)


def test_working_directory_of_the_request_replaces_the_profiles(project: Path) -> None:
    ops = decode_ops(made(Request("default", directory="/usr/./bin"), project).plan)["inside"]
    assert [op.path for op in ops if isinstance(op, SetWorkingDirectory)] == ["/usr/bin"]


def test_working_directory_that_is_relative_is_meant_from_the_callers(project: Path) -> None:
    ops = decode_ops(made(Request("default", directory="bin"), project).plan)["inside"]
    assert [op.path for op in ops if isinstance(op, SetWorkingDirectory)] == [str(project / "bin")]


def test_terminal_is_a_flag_of_the_plan(project: Path) -> None:
    assert made(Request("default", is_terminal=True), project).is_terminal
    assert not made(Request("default"), project).is_terminal


def test_plan_of_a_watched_request_asks_first(project: Path) -> None:
    watched = decode_ops(cold.compile_request(Request("default", is_watched=True)).entry.plan)["inside"]
    plain = decode_ops(made(Request("default"), project).plan)["inside"]
    assert [type(op).__name__ for op in watched[-2:]] == ["LoadWatchedFilter", "LoadFilter"]
    assert not any(isinstance(op, LoadWatchedFilter) for op in plain)
    assert watched[:-2] == plain[:-1]


def test_descriptors_of_the_profile_are_kept(project: Path) -> None:
    write_profile(project, "process: {fds: [5, 9]}\n")
    assert made(Request("mine"), project).kept == (5, 9)


def test_profile_decides_the_plan(project: Path) -> None:
    write_profile(project, "process: {hostname: elsewhere}\n")
    ops = decode_ops(made(Request("mine"), project).plan)["inside"]
    assert [op.name for op in ops if isinstance(op, SetHostName)] == ["elsewhere"]


def test_plan_is_not_kept_when_a_path_appeared_while_it_was_made(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan does not hide it, and its stamp would say that it does."""
    write_profile(project)
    make_plan = cold.make_plan

    def slow(request: Request, policy: Policy, host: Host) -> Plan:
        (project / ".env").write_text("secret")
        return make_plan(request, policy, host)

    monkeypatch.setattr(cold, "make_plan", slow)
    made(Request("mine"), project)
    assert found(project) is None
    made(Request("mine"), project)
    assert found(project) is not None
