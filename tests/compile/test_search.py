"""compile/search.py: where names are found, and what is refused because others could have put it there."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from sandboxer.compile import search
from sandboxer.compile.search import (
    Caller,
    Found,
    Origin,
    Root,
    Search,
    SearchPaths,
    list_profiles,
    search_paths,
    shipped_directory,
)
from sandboxer.errors import ProfileError
from sandboxer.model.place import option_place
from sandboxer.model.profile import Kind

ASKED = option_place("--profile", "web")
ME = os.getuid()


def write(root: Path, name: str, *, kind: str = "profiles") -> Path:
    path = root / kind / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# {path}\n")
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A home with a project two levels deep."""
    (tmp_path / "home" / "project" / "deep").mkdir(parents=True)
    return tmp_path


def paths_of(place: Path, *, uid: int = ME, gid: int | None = None) -> SearchPaths:
    cwd = place / "home" / "project" / "deep"
    roots = (
        Root(str(cwd / ".sandboxer"), Origin.PROJECT),
        Root(str(cwd.parent / ".sandboxer"), Origin.PROJECT),
        Root(str(place / "user"), Origin.USER),
        Root(str(place / "system"), Origin.SYSTEM),
        Root(str(place / "shipped"), Origin.SHIPPED),
    )
    return SearchPaths(roots, str(cwd), uid, os.getgid() if gid is None else gid)


def find(place: Path, text: str = "web", **who: int) -> Found:
    return Search(paths_of(place, **who)).by_name_or_path(text, ASKED)


def refusal(place: Path, text: str = "web", **who: int) -> str:
    with pytest.raises(ProfileError) as caught:
        find(place, text, **who)
    return str(caught.value)


@pytest.mark.parametrize("root", ["home/project/deep/.sandboxer", "home/project/.sandboxer", "user", "system", "shipped"])
def test_name_is_found_in_every_root(place: Path, root: str) -> None:
    path = write(place / root, "web")
    found = find(place)
    assert (found.path, found.name, found.data) == (str(path), "web", path.read_bytes())


def test_person_s_configuration_shadows_the_system_s(place: Path) -> None:
    for root in ("user", "system", "shipped"):
        write(place / root, "web")
    assert find(place).origin is Origin.USER


def test_policy_is_found_by_its_path_below_policies(place: Path) -> None:
    write(place / "shipped", "filesystem/runtime", kind="policies")
    found = Search(paths_of(place)).by_name(Kind.POLICY, "filesystem/runtime", ASKED)
    assert found.name == "filesystem/runtime"


@pytest.mark.parametrize("other", ["home/project/.sandboxer", "user", "shipped"])
def test_project_name_that_is_found_elsewhere_too_is_refused(place: Path, other: str) -> None:
    write(place / "home/project/deep/.sandboxer", "web")
    assert find(place)
    write(place / other, "web")
    assert "has the name of another one" in refusal(place)


@pytest.mark.parametrize("text", ["./x/web.yaml", "x/web.yaml", "web.yaml", "../top.yaml"])
def test_text_with_a_slash_or_suffix_is_a_path_from_the_working_directory(place: Path, text: str) -> None:
    cwd = place / "home" / "project" / "deep"
    path = Path(os.path.normpath(cwd / text))
    path.parent.mkdir(exist_ok=True)
    path.write_text("x")
    found = find(place, text)
    assert (found.path, found.data) == (str(path), b"x")


def test_path_is_never_looked_up_as_a_name(place: Path) -> None:
    write(place / "user", "web")
    assert "no file ./web" in refusal(place, "./web")


def test_path_in_a_profiles_directory_brings_the_policies_beside_it(place: Path) -> None:
    write(place / "mine", "web")
    write(place / "mine", "net", kind="policies")
    write(place / "shipped", "net", kind="policies")
    looking = Search(paths_of(place))
    looking.by_name_or_path(str(place / "mine/profiles/web.yaml"), ASKED)
    assert looking.by_name(Kind.POLICY, "net", ASKED).origin is Origin.BESIDE


def test_unknown_name_gets_did_you_mean(place: Path) -> None:
    write(place / "user", "python")
    assert "did you mean python?" in refusal(place, "pyton")


def test_name_of_a_file_here_is_no_path_but_advice_says_how(place: Path) -> None:
    (place / "home/project/deep/web.yaml").write_text("x")
    assert "try: ./web.yaml, if that file is meant" in refusal(place)
    assert find(place, "./web.yaml")


def test_file_below_the_working_directory_is_shown_relative(place: Path) -> None:
    write(place / "home/project/deep/.sandboxer", "web")
    assert find(place).shown == ".sandboxer/profiles/web.yaml"


# ── whom a project's files belong to ──────────────────────────────────────────────────────────────────────────────────


def test_project_file_of_another_user_is_refused(place: Path) -> None:
    write(place / "home/project/.sandboxer", "web")
    assert find(place)
    if ME == 0:
        for path in (place / "home/project/.sandboxer").rglob("*"):
            os.chown(path, 4321, 4321)
        assert "belongs to user 4321" in refusal(place)
    else:
        assert f"belongs to user {ME}" in refusal(place, uid=ME + 1)


def test_project_directory_of_another_user_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(place / "home/project/.sandboxer", "web")
    real = os.stat

    def pretend(path: str) -> os.stat_result:
        fact = list(real(path))
        fact[4] = 4321 if str(path).endswith(".sandboxer") else ME
        return os.stat_result(fact)

    looking = Search(paths_of(place))
    looking.by_name(Kind.PROFILE, "web", ASKED)
    monkeypatch.setattr(search.os, "stat", pretend)
    with pytest.raises(ProfileError, match=r"\.sandboxer belongs to user 4321"):
        looking._check_trust(
            real(place / "home/project/.sandboxer/profiles/web.yaml"),
            str(place / "home/project/.sandboxer/profiles/web.yaml"),
            looking.paths.roots[1],
            ASKED,
        )


@pytest.mark.parametrize("below", ["", "profiles", "profiles/web.yaml"])
def test_project_file_that_everybody_can_write_is_refused(place: Path, below: str) -> None:
    root = place / "home/project/.sandboxer"
    write(root, "web")
    (root / below).chmod(0o777)
    assert "can be written by everybody" in refusal(place)
    (root / below).chmod(0o755)
    assert find(place)


def test_project_file_that_a_foreign_group_can_write_is_refused(place: Path) -> None:
    path = write(place / "home/project/.sandboxer", "web")
    path.chmod(0o664)
    assert find(place)
    if path.stat().st_gid != 0:
        assert "group" in refusal(place, gid=path.stat().st_gid + 1)


def test_file_given_by_its_path_is_taken_whoever_owns_it(place: Path) -> None:
    path = write(place / "home/project/.sandboxer", "web")
    path.chmod(0o666)
    assert find(place, str(path))


def test_project_directory_that_cannot_be_entered_names_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(place / "home/project/.sandboxer", "web")
    write(place / "user", "web")
    real = os.open

    def refuse(path: str, *rest: int, **more: int) -> int:
        if "/home/project/" in str(path):
            raise PermissionError(13, "Permission denied")
        return real(path, *rest, **more)

    monkeypatch.setattr(search.os, "open", refuse)
    assert find(place).origin is Origin.USER


@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_what_is_no_plain_file_is_refused_without_waiting(place: Path, kind: str) -> None:
    path = place / "user/profiles/web.yaml"
    path.parent.mkdir(parents=True)
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    assert "not a plain file" in refusal(place)


def test_name_with_a_nul_is_refused(place: Path) -> None:
    assert "cannot read" in refusal(place, "a\0/b")


# ── the trail ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_trail_has_every_place_that_could_change_the_answer(place: Path) -> None:
    write(place / "home/project/.sandboxer", "other")
    path = write(place / "system", "web")
    looking = Search(paths_of(place))
    looking.by_name(Kind.PROFILE, "web", ASKED)
    trail = {looked.path.removeprefix(str(place) + "/"): looked.is_found for looked in looking.looked}
    assert trail == {
        "home/project/deep/.sandboxer": False,
        "home/project/.sandboxer/profiles/web.yaml": False,
        "user": False,
        "system/profiles/web.yaml": True,
    }
    assert path.exists()


# ── the roots of a caller ─────────────────────────────────────────────────────────────────────────────────────────────


def test_roots_go_up_from_the_working_directory_and_end_with_what_is_shipped() -> None:
    paths = search_paths(Caller("/home/joe/a", "/home/joe", "joe", 1000, 1000))
    assert [root.path for root in paths.roots] == [
        "/home/joe/a/.sandboxer",
        "/home/joe/.sandboxer",
        "/home/.sandboxer",
        "/.sandboxer",
        "/home/joe/.config/sandboxer",
        "/etc/sandboxer",
        shipped_directory(),
    ]


@pytest.mark.parametrize(("value", "wanted"), [("/conf", "/conf/sandboxer"), ("relative", "/home/joe/.config/sandboxer")])
def test_xdg_directory_counts_if_it_is_absolute(value: str, wanted: str) -> None:
    caller = Caller("/", "/home/joe", "joe", 1000, 1000, {"XDG_CONFIG_HOME": value})
    assert search_paths(caller).roots[1].path == wanted


def test_shipped_directory_has_profiles_and_policies() -> None:
    assert os.path.isfile(os.path.join(shipped_directory(), "profiles/default.yaml"))
    assert os.path.isdir(os.path.join(shipped_directory(), "policies"))


def test_list_profiles_knows_the_shipped_ones_and_marks_shadowed_ones(place: Path) -> None:
    config = place / "conf"
    write(config / "sandboxer", "python")
    write(config / "sandboxer", "mine")
    caller = Caller(str(place), str(place), "joe", ME, 0, {"XDG_CONFIG_HOME": str(config)})
    listed = list_profiles(caller)
    assert {"default", "strict", "python", "mine"} <= {entry.name for entry in listed}
    assert [(entry.origin, entry.shadowed) for entry in listed if entry.name == "python"] == [
        (Origin.USER, False),
        (Origin.SHIPPED, True),
    ]


def test_list_of_policies_leaves_hidden_and_other_files_out(place: Path) -> None:
    for name in ("a/b", "a/.hidden", ".git/x"):
        write(place / "user", name, kind="policies")
    (place / "user/policies/README.md").write_text("x")
    assert [entry.name for entry in Search(paths_of(place)).listed(Kind.POLICY)] == ["a/b"]


def test_caller_without_a_home_variable_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "relative")
    assert search.caller_of_process().home.startswith("/")


def test_caller_is_kept_apart_from_the_environment_that_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/x/../y")
    caller = search.caller_of_process()
    assert caller.home == "/home/y"
    assert replace(caller, user="z").uid == os.getuid()
