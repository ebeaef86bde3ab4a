"""`check --prove` on plans that are broken on purpose: each row notices, is named, and the status says so."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from sandboxer.cli.check import Paper
from sandboxer.cli.tables import proof
from sandboxer.prove.probe import Probe, Proof, Verdict
from sandboxer.prove.prover import ROWS, Choose, Tamper, prove, without
from tests.live.needs import needs
from tests.live.tampering import BREAKS, changed, every_limit, gone, sharing

Judge = Callable[[str, Tamper, Choose], tuple[int, str, str]]

OWN = {
    "limits.nice": ("NICE", 40),
    "limits.realtime_priority": ("RTPRIO", 99),
    "limits.core": ("CORE", -1),
    "limits.stack": ("STACK", -1),
    "limits.open_files": ("NOFILE", -1),
}
"""Where the caller's own limit is often as low as ours: its name, and the highest."""


@pytest.fixture(scope="module", autouse=True)
def generous() -> Iterator[None]:
    """Limits of our own as high as can be, so that it is the box's that hold."""
    numbers = {getattr(resource, f"RLIMIT_{name}"): most for name, most in OWN.values()}
    before = {number: resource.getrlimit(number) for number in numbers}
    for number, most in numbers.items():
        try:
            resource.setrlimit(number, (most, most))
        except ValueError:  # it takes CAP_SYS_RESOURCE
            resource.setrlimit(number, (before[number][1],) * 2)
    yield
    for number, pair in before.items():
        resource.setrlimit(number, pair)


@pytest.fixture(scope="module")
def profile(open_directory: Path) -> Iterator[str]:
    """A profile that declares something for every row, with a project on a disk."""
    place = open_directory / "tampering"
    (place / "secret").mkdir(parents=True)
    path = place / "every.yaml"
    path.write_text(every_limit(f"{place}/secret"))
    before = Path.cwd()
    os.chdir(place)
    yield str(path)
    os.chdir(before)


@pytest.fixture(scope="module")
def whole(profile: str) -> dict[str, Proof]:
    """The table of the plan as it is."""
    return {found.row: found for found in prove(profile)}


def only(*rows: str) -> Choose:
    """The probes of these rows."""
    return lambda probe: probe if probe.row in rows else None


def only_tripped(row: str) -> Choose:
    """The part of a probe that trips something."""

    def choose(probe: Probe) -> Probe | None:
        trials = tuple(trial for trial in probe.trials if not trial.is_read_back)
        return replace(probe, trials=trials) if probe.row == row else None

    return choose


@pytest.fixture
def judge(profile: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Judge:
    """What the command says of one row of a plan that was tampered with: its status, the row, the verdict."""

    def run(row: str, tamper: Tamper, choose: Choose) -> tuple[int, str, str]:
        monkeypatch.setattr(proof, "prove", partial(prove, tamper=tamper, choose=choose))
        status = proof.run_proofs([profile], Paper(), as_json=True)
        (found,) = json.loads(capsys.readouterr().out)["profiles"]
        (line,) = found["rows"]
        return status, line["row"], line["verdict"]

    return run


def test_every_row_that_there_is_can_be_broken() -> None:
    assert sorted(BREAKS) == sorted(ROWS)


@needs("landlock>=1", "proc", "x86_64")
def test_plan_as_it_is_has_every_row_and_all_of_them_hold(whole: dict[str, Proof]) -> None:
    assert sorted(whole) == sorted(ROWS)
    weaker = {row for row, found in whole.items() if found.verdict is Verdict.WEAKER}
    bad = [found for row, found in whole.items() if found.verdict is not Verdict.HOLDS and row not in weaker]
    assert bad == []
    assert all(row.startswith("limits.") for row in weaker)


def keeps_it_ourselves(row: str) -> bool:
    """The caller's own limit is as low, and nothing that we leave out makes it more."""
    if row == "limits.cpuset":
        return len(os.sched_getaffinity(0)) == 1
    name, _ = OWN.get(row, ("", 0))
    return bool(name) and resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[1] == 0


@needs("landlock>=1", "proc", "x86_64")
@pytest.mark.parametrize(("row", "way"), [(row, way) for row, ways in BREAKS.items() for way in ways])
def test_broken_row_is_found_and_named(row: str, way: str, whole: dict[str, Proof], judge: Judge) -> None:
    found = judge(row, BREAKS[row][way], only(row))
    if whole[row].verdict is Verdict.WEAKER:
        assert found == (0, row, "weaker")  # this host keeps less, says so, and there was little to take away
    elif keeps_it_ourselves(row):
        assert found == (0, row, "holds")
    else:
        assert found == (1, row, "broken")


@needs("landlock>=1", "proc", "x86_64")
@pytest.mark.parametrize("row", [row for row in ROWS if row.startswith("limits.")])
def test_limit_that_is_gone_is_found_by_what_trips_it_alone(row: str, whole: dict[str, Proof], judge: Judge) -> None:
    """Nobody reads its value back."""
    if whole[row].verdict is Verdict.WEAKER or keeps_it_ourselves(row):
        return
    # Where nothing trips it, or another wall stands in front of it, the row has said so.
    is_covered = whole[row].observed.startswith("read back") or "refuses" in whole[row].observed
    found = judge(row, gone, only_tripped(row))
    assert found == ((0, row, "holds") if is_covered else (1, row, "broken"))


def test_box_that_does_not_start_proves_nothing(judge: Judge) -> None:
    """Without no_new_privs the kernel does not take the filter."""
    row = "process.no_new_privs"
    assert judge(row, without(row), only(row)) == (1, row, "untried")


def test_tampering_with_one_row_leaves_the_others(profile: str) -> None:
    rows = ("limits.open_files", "limits.wall")
    proofs = prove(profile, tamper=without("limits.wall"), choose=only(*rows))
    assert {found.row: found.verdict for found in proofs} == {
        "limits.open_files": Verdict.HOLDS,
        "limits.wall": Verdict.BROKEN,
    }


@pytest.mark.parametrize("way", ["down", "shared"])
def test_loopback_that_is_none_is_found(way: str, tmp_path: Path) -> None:
    profile = tmp_path / "loops.yaml"
    profile.write_text(
        "kind: profile\nname: loops\ndescription: It has a loopback.\nextends: [default]\nnetwork: {mode: loopback}\n"
    )
    (found,) = prove(str(profile), choose=only("network.mode"))
    assert (found.declared, found.verdict) == ("loopback", Verdict.HOLDS)
    tamper = changed(lambda step: None if step.control == "network" else step) if way == "down" else sharing("net")
    (found,) = prove(str(profile), tamper=tamper, choose=only("network.mode"))
    assert found.verdict is Verdict.BROKEN
