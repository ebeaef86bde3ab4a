"""`sandboxer check`: verdicts of shipped profiles on pretended hosts, and how they are shown."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sandboxer.cli import check
from sandboxer.cli.check import REFUSED, WEAKENED, WHOLE, Loss, Paper, Verdict, check_json, judge, show_check
from sandboxer.cli.options import Given
from sandboxer.errors import HostError, Problem
from sandboxer.kernel.ability import Ability, State, find_abilities
from sandboxer.kernel.probe import probe
from sandboxer.model.host import Host
from sandboxer.model.place import Place
from tests.live.needs import needs

LACKING = Ability("overlays", State.NO, "cannot be used", "the module is not loaded", "sudo modprobe overlay")
LOST = Verdict("web", WEAKENED, (Loss("network: loopback", "no lo", "no namespace", "run as root", Place("p.yaml", 3, 1)),))


def shown(*verdicts: Verdict, paper: Paper | None = None) -> str:
    return "\n".join(show_check(Host(), (LACKING,), list(verdicts), paper or Paper()))


def given(*words: str, options: tuple[str, ...] = ()) -> Given:
    result = Given()
    result.words = list(words)
    result.options = [(name, "") for name in options]
    return result


def test_lacking_row_shows_why_and_mend() -> None:
    lines = shown().splitlines()
    assert lines[1].split() == ["no", "overlays", "cannot", "be", "used"]
    assert [line.strip() for line in lines[2:4]] == ["why: the module is not loaded", "mend: sudo modprobe overlay"]


def test_loss_shows_its_place_and_what_to_try() -> None:
    text = shown(LOST)
    assert "network: loopback (p.yaml:3:1)" in text
    assert [word in text for word in ("lost: no lo", "why: no namespace", "try: run as root")] == [True] * 3


def test_full_profile_shows_one_line() -> None:
    assert shown(Verdict("web", WHOLE)).splitlines()[-1].split() == ["full", "web"]


def test_no_profiles_are_said() -> None:
    assert shown().endswith("profiles: none found")


def test_pipe_gets_no_escapes_and_whole_lines() -> None:
    long = Verdict("web", REFUSED, (Loss("x " * 200),))
    text = shown(long)
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines()) > 300


def test_terminal_gets_colours_and_wrapped_lines() -> None:
    text = shown(Verdict("web", REFUSED, (Loss("x " * 200),)), paper=Paper(80, True))
    assert "\x1b[31mrefused" in text
    assert max(len(line) for line in text.splitlines() if "\x1b" not in line) <= 80


def test_names_from_files_cannot_move_the_cursor() -> None:
    assert "\x1b" not in shown(Verdict("\x1b[2J", REFUSED, (Loss("\x1b[2J"),)))


def test_json_holds_host_abilities_and_profiles() -> None:
    host = Host()
    data = json.loads(json.dumps(check_json(host, find_abilities(host), [LOST])))
    assert (data["host"]["kernel"], data["host"]["namespaces"]) == ([6, 12], sorted(host.namespaces))
    assert data["profiles"][0]["losses"][0]["where"] == {"file": "p.yaml", "line": 3, "column": 1}
    assert {row["state"] for row in data["abilities"]} <= {"yes", "no", "part", "note"}


@pytest.mark.parametrize(("words", "status"), [((WHOLE,), 0), ((WHOLE, WEAKENED), 1), ((REFUSED,), 1), ((), 0)])
def test_status_is_zero_only_where_every_profile_is_whole(
    words: tuple[str, ...], status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "judge", lambda name, host: Verdict(name, name))
    monkeypatch.setattr(check, "list_profiles", lambda caller: ())
    assert check.run(given(*words)) == status
    assert capsys.readouterr().out


def test_json_option_prints_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(check, "judge", lambda name, host: Verdict(name, WHOLE))
    assert check.run(given("web", options=("--json",))) == 0
    assert json.loads(capsys.readouterr().out)["profiles"] == [{"profile": "web", "verdict": "full", "losses": []}]


@needs("landlock>=3")
def test_shipped_profile_on_this_host_is_whole() -> None:
    assert judge("default", probe()) == Verdict("default", WHOLE)


def test_shipped_profile_without_user_namespaces_is_refused_with_the_reason() -> None:
    host = Host(uid=54321, user_namespace_problem="a wall", user_namespace_mend="remove it", has_fresh_proc=False)
    found = judge("default", host)
    assert found.word == REFUSED
    assert any("a wall" in loss.why for loss in found.losses)


def test_unknown_profile_is_refused_with_the_reason() -> None:
    found = judge("no-such-profile", Host())
    assert (found.word, "no-such-profile" in found.losses[0].what) == (REFUSED, True)


def test_loss_that_two_stages_say_is_shown_once(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place("p.yaml", 3, 1)

    def refuse(*_: object) -> None:
        raise HostError([Problem("no lo", where=place, why="w", attempt="t"), Problem("no lo", where=place), Problem("no pid")])

    monkeypatch.setattr(check, "make_plan", refuse)
    assert judge("default", Host()).losses == (Loss("no lo", why="w", attempt="t", place=place), Loss("no pid"))


def test_command_that_mends_is_never_broken() -> None:
    row = Ability("overlays", State.NO, "cannot be used", "y " * 100, "sudo " + "x " * 100)
    lines = list(show_check(Host(), (row,), [], Paper(60, False)))
    assert [len(line) > 150 for line in lines if "mend:" in line] == [True]
    assert max(len(line) for line in lines if "mend:" not in line) <= 60


def test_shipped_profile_runs_without_landlock_and_says_what_is_lost() -> None:
    host = replace(probe(), landlock_abi=0, landlock_problem="the kernel did not start it", landlock_mend="boot with it")
    found = judge("default", host)
    assert found.word == WEAKENED
    (loss,) = found.losses
    assert (loss.what, loss.why, loss.attempt) == (
        "landlock: Landlock cannot be used here", "the kernel did not start it", "boot with it",
    )  # fmt: skip
