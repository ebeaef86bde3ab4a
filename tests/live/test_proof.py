"""`check --prove`: everything that shipped profiles say holds, for root and for an ordinary user; and what is broken is found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sandboxer.abi.mount import MountAttr
from sandboxer.controls.filesystem.settings import PRIVATE
from sandboxer.model.op import BindInside
from sandboxer.model.plan import Plan
from sandboxer.prove.probe import Probe, Verdict
from sandboxer.prove.prover import prove, without
from tests.live.boxes import Box
from tests.live.needs import needs

PROFILES = ("build", "ci-job", "default", "node", "package-install", "python", "shell", "strict")

EVERY_LIMIT = """\
kind: profile
name: every
description: Every limit that something here can keep.
extends: [python]
limits: {cpus: 1, cpu_weight: 50, cpu_time: 10s, idle: 10s, address_space: 8G, signals_pending: 100, output: 1M}
"""


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


LIMITS = (
    "limits.open_files",
    "limits.processes",
    "limits.file_size",
    "limits.core",
    "limits.stack",
    "limits.address_space",
    "limits.data",
    "limits.locked_memory",
    "limits.queue_bytes",
    "limits.signals_pending",
    "limits.output",
    "limits.wall",
    "limits.grace",
)
GROUPS = ("limits.memory", "limits.cpus", "limits.cpu_weight", "limits.cpu_time", "limits.idle")


def broken_row(row: str, profile: Path) -> Verdict:
    """The verdict of a row whose steps were taken out of the plan."""
    profile.write_text(EVERY_LIMIT)
    (proof,) = prove(str(profile), tamper=without(row), is_wanted=lambda name: name == row)
    return proof.verdict


@pytest.mark.parametrize("row", LIMITS)
def test_limit_that_is_not_set_is_found(row: str, tmp_path: Path) -> None:
    assert broken_row(row, tmp_path / "every.yaml") is Verdict.BROKEN


@needs("group of memory", "group of cpu", "group that counts")
@pytest.mark.parametrize("row", GROUPS)
def test_limit_of_a_group_that_is_not_set_is_found(row: str, tmp_path: Path) -> None:
    assert broken_row(row, tmp_path / "every.yaml") is Verdict.BROKEN


RULES = (
    "seccomp.calls",
    "seccomp.foreign",
    "seccomp.sockets",
    "capabilities",
    "landlock",
)


@needs("landlock>=1", "x86_64")
@pytest.mark.parametrize("row", RULES)
def test_rule_that_is_not_loaded_is_found(row: str, tmp_path: Path) -> None:
    assert broken_row(row, tmp_path / "every.yaml") is Verdict.BROKEN


def test_box_that_does_not_start_proves_nothing(tmp_path: Path) -> None:
    """Without no_new_privs the kernel does not take the filter."""
    assert broken_row("process.no_new_privs", tmp_path / "every.yaml") is Verdict.UNTRIED


def make_writable(_probe: Probe, plan: Plan) -> Plan:
    """The same box without its second wall, all of its mounts writable."""
    inside = []
    for step in plan.inside:
        attributes = getattr(step.op, "attributes", 0)
        op = replace(step.op, attributes=attributes & ~MountAttr.RDONLY) if attributes else step.op  # type: ignore[call-arg]
        if step.control != "landlock":
            inside.append(replace(step, op=op))
    return replace(plan, inside=tuple(inside))


def test_mounts_that_are_not_read_only_are_found() -> None:
    (proof,) = prove("default", tamper=make_writable, is_wanted=lambda name: name == "filesystem.write")
    assert proof.verdict is Verdict.BROKEN


def uncover(_probe: Probe, plan: Plan) -> Plan:
    """The same box without what covers hidden paths."""
    covers = [step for step in plan.inside if isinstance(step.op, BindInside) and step.op.source.startswith(f"{PRIVATE}/")]
    return replace(plan, inside=tuple(step for step in plan.inside if step not in covers))


@pytest.mark.parametrize("row", ["filesystem.hide", "filesystem.proc_mask"])
def test_hidden_path_that_is_not_covered_is_found(row: str, open_directory: Path, tmp_path: Path) -> None:
    place = open_directory / row
    (place / "secret").mkdir(parents=True)
    profile = tmp_path / "hides.yaml"
    policies = "policies: [filesystem/runtime, filesystem/proc, devices/minimal, syscalls/application]"
    files = f"filesystem: {{read: ['{place}'], hide: ['{place}/secret']}}"
    profile.write_text(f"kind: profile\nname: hides\ndescription: It hides a path.\n{policies}\n{files}\n")
    (proof,) = prove(str(profile), is_wanted=lambda name: name == row)
    assert proof.verdict is Verdict.HOLDS
    (proof,) = prove(str(profile), tamper=uncover, is_wanted=lambda name: name == row)
    assert proof.verdict is Verdict.BROKEN


def test_tampering_with_one_row_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "every.yaml").write_text(EVERY_LIMIT)
    rows = ("limits.open_files", "limits.wall")
    proofs = prove(str(tmp_path / "every.yaml"), tamper=without("limits.wall"), is_wanted=lambda name: name in rows)
    assert {proof.row: proof.verdict for proof in proofs} == {
        "limits.open_files": Verdict.HOLDS,
        "limits.wall": Verdict.BROKEN,
    }


def test_box_without_proc_is_proven_with_the_probe_shown(tmp_path: Path) -> None:
    profile = tmp_path / "bare.yaml"
    policies = "policies: [filesystem/runtime, devices/minimal, syscalls/application]"
    profile.write_text(f"kind: profile\nname: bare\ndescription: A box without /proc.\n{policies}\n")
    rows = ("limits.open_files", "capabilities", "namespaces")
    proofs = {proof.row: proof for proof in prove(str(profile), is_wanted=lambda name: name in rows)}
    assert "this file is shown besides" in proofs["probe"].observed
    assert [proofs[row].verdict for row in rows] == [Verdict.HOLDS, Verdict.HOLDS, Verdict.UNTRIED]
