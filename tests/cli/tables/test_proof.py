"""`sandboxer check --prove`: the table, the JSON and the exit status, from pretended proofs."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from sandboxer.cli.check import Paper
from sandboxer.cli.tables import proof
from sandboxer.cli.tables.proof import Proven, proven_json, run_proofs, show_proven
from sandboxer.errors import HostError, Problem
from sandboxer.prove.probe import Proof, Verdict


def row(verdict: Verdict = Verdict.HOLDS, tried: str = "64M", observed: str = "oom") -> Proof:
    return Proof("limits.memory", "4G", tried, "cgroup v2 memory.max", observed, verdict)


def test_row_says_what_is_declared_and_what_it_was_tried_with() -> None:
    lines = list(show_proven(Proven("web", (row(),)), Paper()))
    assert lines == ["web: 1 holds", "  holds  limits.memory  4G, tried with 64M  cgroup v2 memory.max  oom"]


def test_row_that_was_tried_as_it_is_says_no_more() -> None:
    assert "tried with" not in "".join(show_proven(Proven("web", (row(tried=""),)), Paper()))


def test_head_counts_the_verdicts() -> None:
    rows = (row(), row(Verdict.WEAKER), row(Verdict.BROKEN), row(Verdict.BROKEN), row(Verdict.UNTRIED))
    assert next(show_proven(Proven("web", rows), Paper())) == "web: 1 holds, 1 weaker, 2 broken, 1 untried"


def test_narrow_terminal_gets_what_was_seen_on_its_own_lines() -> None:
    lines = list(show_proven(Proven("web", (row(Verdict.BROKEN, observed="x " * 60),)), Paper(80, True)))
    assert "\x1b[31mbroken" in lines[1]
    assert len(lines) > 3


def test_names_from_files_cannot_move_the_cursor() -> None:
    text = "".join(show_proven(Proven("\x1b[2J", (row(observed="\x1b[2J"),)), Paper()))
    assert "\x1b" not in text


def test_refusal_is_shown() -> None:
    assert list(show_proven(Proven("web", refusal="no namespaces"), Paper())) == ["web: refused: no namespaces"]


def test_json_has_every_word_of_a_row() -> None:
    data = json.loads(json.dumps(proven_json(Proven("web", (row(),)))))
    assert (data["profile"], data["is_good"], data["refusal"]) == ("web", True, "")
    assert data["rows"][0] == {
        "row": "limits.memory",
        "declared": "4G",
        "tried": "64M",
        "enforced_by": "cgroup v2 memory.max",
        "observed": "oom",
        "verdict": "holds",
    }


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [
        ((Verdict.HOLDS,), 0),
        ((Verdict.HOLDS, Verdict.WEAKER), 0),
        ((Verdict.HOLDS, Verdict.BROKEN), 1),
        ((Verdict.UNTRIED,), 1),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_status_says_whether_everything_held(
    verdicts: tuple[Verdict, ...], status: int, as_json: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(proof, "prove", lambda _: iter([row(verdict) for verdict in verdicts]))
    assert run_proofs(["web"], Paper(), as_json=as_json) == status
    assert "limits.memory" in capsys.readouterr().out


def test_profile_that_is_refused_has_status_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(_: str) -> Iterator[Proof]:
        raise HostError(Problem("no user namespaces"))
        yield

    monkeypatch.setattr(proof, "prove", refuse)
    assert run_proofs(["web", "web"], Paper(), as_json=False) == 1
    assert capsys.readouterr().out == "web: refused: no user namespaces\n"
