"""What follows from outcomes: on invented ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandboxer.model.host import Host
from tests.attack.attempts import ATTEMPTS
from tests.attack.layers import verdict
from tests.attack.layers.measure import PROFILES, Outcomes, name_run, runs
from tests.attack.layers.verdict import BREACHED, LONE, MARKED, OWN_RULES, SETTINGS, Cell, find_faults, judge_cell, lone_layer
from tests.attack.layers.walls import ALL, Layer

NAMES = {row.name for row in ATTEMPTS}
REFUSED = "held EPERM"


def invented(name: str, *stopping: Layer, bare: str = BREACHED) -> Outcomes:
    """An attempt that these layers stop, each alone; bare: what it says without any."""
    outcomes: Outcomes = {name_run(layers): {name: REFUSED if layers & set(stopping) else bare} for layers in runs()}
    if Layer.SECCOMP in stopping:
        outcomes[Layer.SECCOMP.value][name] = MARKED
    return outcomes


def faults(name: str, outcomes: Outcomes, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(verdict, "ATTEMPTS", [row for row in ATTEMPTS if row.name == name])
    return find_faults(dict.fromkeys(PROFILES, outcomes))


def test_rules_and_exceptions_are_about_attempts_that_there_are() -> None:
    assert set(OWN_RULES) <= NAMES
    assert {name for row in LONE for name in row.names} <= NAMES


@pytest.mark.parametrize("profile", PROFILES)
def test_exception_is_made_once(profile: str) -> None:
    names = [name for row in LONE if profile in row.profiles for name in row.names]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("layer", "bare", "alone", "cell"),
    [
        (Layer.VIEW, BREACHED, "held ENOENT", Cell.STOPS),
        (Layer.VIEW, BREACHED, BREACHED, Cell.LETS),
        (Layer.VIEW, "held EPERM", "held EPERM", Cell.UNKNOWN),
        (Layer.LANDLOCK, "held EPERM", "held EACCES", Cell.STOPS),
        (Layer.LANDLOCK, "held EPERM", BREACHED, Cell.UNKNOWN),
        (Layer.SECCOMP, "held ENOSYS", MARKED, Cell.STOPS),
        (Layer.SECCOMP, "held ENOSYS", "held ENOSYS", Cell.LETS),
        (Layer.SECCOMP, "held ENOSYS", "killed SYS", Cell.STOPS),
        (Layer.SECCOMP, BREACHED, "killed SYS", Cell.STOPS),
        (Layer.PRIVILEGE, "held ENOSYS", "held ENOSYS", Cell.UNKNOWN),
    ],
)
def test_cell_says_what_the_outcomes_can_tell(layer: Layer, bare: str, alone: str, cell: Cell) -> None:
    assert judge_cell("shadow", layer, {"": {"shadow": bare}, layer.value: {"shadow": alone}}) is cell


def test_kernels_own_rule_is_a_layer_only_where_the_kernel_refuses_so() -> None:
    def judged(bare: str, layer: Layer = Layer.PRIVILEGE) -> Cell:
        return judge_cell("settimeofday", layer, {"": {"settimeofday": bare}, layer.value: {"settimeofday": bare}})

    assert judged("held EPERM") is Cell.STOPS
    assert judged("held EPERM", Layer.VIEW) is Cell.UNKNOWN
    assert judged("held ENOSYS") is Cell.UNKNOWN
    assert judged(BREACHED) is Cell.UNKNOWN


def test_cell_that_needs_a_setting_is_not_told_where_it_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = tmp_path / "setting"
    monkeypatch.setitem(SETTINGS, ("shadow", Layer.VIEW), (setting, "1"))
    outcomes = invented("shadow", Layer.VIEW)
    for value, cell in (("1", Cell.STOPS), ("0", Cell.UNKNOWN)):
        setting.write_text(f"{value}\n")
        assert judge_cell("shadow", Layer.VIEW, outcomes) is cell


def test_newer_kernel_has_a_second_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = invented("connect-path", Layer.VIEW, Layer.LANDLOCK)
    monkeypatch.setattr(verdict, "this_host", lambda: Host(landlock_abi=8))
    assert faults("connect-path", outcomes, monkeypatch)
    monkeypatch.setattr(verdict, "this_host", lambda: Host(landlock_abi=9))
    assert faults("connect-path", outcomes, monkeypatch) == []


def test_two_layers_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert faults("shadow", invented("shadow", Layer.VIEW, Layer.LANDLOCK), monkeypatch) == []


def test_one_layer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = faults("shadow", invented("shadow", Layer.VIEW), monkeypatch)
    assert found == [f"{profile}: shadow: one layer alone has to be missed: view alone stops it" for profile in PROFILES]


def test_exception_with_one_layer_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lone_layer("keyctl", "strict") is Layer.SECCOMP
    assert faults("keyctl", invented("keyctl", Layer.SECCOMP), monkeypatch) == []


@pytest.mark.parametrize("stopping", [(Layer.SECCOMP, Layer.VIEW), (Layer.VIEW,), ()])
def test_exception_with_other_layers_is_told(stopping: tuple[Layer, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    found = faults("keyctl", invented("keyctl", *stopping), monkeypatch)
    assert any("said to be stopped by seccomp alone, but there are" in line for line in found)


def test_attempt_that_gets_through_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = invented("shadow", Layer.VIEW, Layer.LANDLOCK)
    outcomes[name_run(ALL)]["shadow"] = BREACHED
    assert "strict: shadow: is not stopped by all layers together" in faults("shadow", outcomes, monkeypatch)


def test_layers_that_only_hold_together_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = invented("shadow", Layer.VIEW, Layer.LANDLOCK)
    outcomes[name_run(ALL - {Layer.VIEW})]["shadow"] = BREACHED
    assert any("gets through without view" in line for line in faults("shadow", outcomes, monkeypatch))


def test_layer_that_is_said_to_be_the_only_one_has_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = invented("keyctl", Layer.SECCOMP)
    outcomes[name_run(ALL - {Layer.SECCOMP})]["keyctl"] = REFUSED
    assert any("is stopped without seccomp" in line for line in faults("keyctl", outcomes, monkeypatch))


def test_kernel_that_does_not_know_an_attempt_asks_for_the_filter_only(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = "held EAFNOSUPPORT"
    assert faults("socket-alg", invented("socket-alg", Layer.SECCOMP, bare=absent), monkeypatch) == []
    assert faults("socket-alg", invented("socket-alg", bare=absent), monkeypatch)
