"""`sandboxer explain`."""

from __future__ import annotations

import json

from tests.cli.front import Front
from tests.live.needs import needs


@needs("userns")
def test_explain_has_sentences_steps_and_report(front: Front) -> None:
    shown = front.run("explain", "default").stdout
    assert "\nnetwork:\n  It has no network" in shown
    assert "\ninside (in the child, in this order):\n" in shown
    assert "load a system call filter" in shown
    assert "\nreport:\n  enforced: " in shown


@needs("userns")
def test_explain_knows_options_and_terminals(front: Front) -> None:
    shown = front.run("explain", "default", "-t", "--timeout", "5s").stdout
    assert "open a terminal of its own" in shown
    assert "end the box after 5s" in shown


@needs("userns")
def test_explain_json_has_every_step(front: Front) -> None:
    data = json.loads(front.run("explain", "default", "--json").stdout)
    assert data["plan"]["before"][-1]["op"] == "Start"
    assert data["plan"]["inside"][-1]["op"] == "LoadFilter"
    assert data["sentences"]["network"]


@needs("userns")
def test_explain_starts_nothing_and_keeps_nothing(front: Front) -> None:
    front.run("explain", "default")
    assert front.plans == []
