"""`check --prove`: everything that shipped profiles say holds, for root and for an ordinary user."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sandboxer.prove.probe import Verdict
from sandboxer.prove.prover import prove
from tests.live.boxes import Box

PROFILES = ("build", "ci-job", "default", "node", "package-install", "python", "shell", "strict")


@pytest.mark.parametrize("profile", PROFILES)
def test_shipped_profile_holds(box: Box, profile: str) -> None:
    words = [box.installation.command, "check", "--prove", "--json", profile]
    with box.leaves_nothing():
        done = box.person.run(words, cwd=box.place)
    (found,) = json.loads(done.stdout)["profiles"]
    bad = [row for row in found["rows"] if row["verdict"] not in ("holds", "weaker")]
    assert (done.returncode, bad, found["refusal"]) == (0, [], ""), done.stderr
    words = [box.installation.command, "check", "--json", profile]
    (report,) = json.loads(box.person.run(words, cwd=box.place).stdout)["profiles"]
    lost = {loss["lost"] for loss in report["losses"]}
    weaker = [row for row in found["rows"] if row["verdict"] == "weaker"]
    assert all(any(words in row["observed"] for words in lost) for row in weaker)


def test_box_without_proc_is_proven_with_the_probe_shown(tmp_path: Path) -> None:
    profile = tmp_path / "bare.yaml"
    policies = "policies: [filesystem/runtime, devices/minimal, syscalls/application]"
    profile.write_text(f"kind: profile\nname: bare\ndescription: A box without /proc.\n{policies}\n")
    rows = ("limits.open_files", "capabilities", "namespaces")
    proofs = {proof.row: proof for proof in prove(str(profile), choose=lambda probe: probe if probe.row in rows else None)}
    assert "this file is shown besides" in proofs["probe"].observed
    assert [proofs[row].verdict for row in rows] == [Verdict.HOLDS, Verdict.HOLDS, Verdict.UNTRIED]
