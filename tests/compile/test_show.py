"""What people and programs can read of a policy and of a plan."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest

from sandboxer.compile.show import explain_plan, explain_policy, plan_data, policy_data, show_policy, value_text
from sandboxer.model.op import U32, SetUmask
from sandboxer.model.place import Place
from sandboxer.model.plan import Plan
from sandboxer.model.policy import Layer, Override, Policy
from sandboxer.model.report import Line, Report, Status
from sandboxer.model.section import Field, Merge, Said, Section
from sandboxer.model.stage import Stage
from tests.compile.policies import PLACE, ROOT, USER, PretendRoom, least_steps, make_plan, make_policy, said, step


@dataclass(frozen=True)
class Grant:
    path: str
    optional: bool = False


def row(name: str, default: str = "", say: object = None) -> Field:
    return Field(name, Merge.GRANT, {}, lambda node: (), "help", default=default, say=say)  # type: ignore[arg-type]


FILES = PretendRoom(
    "files", FIELDS=(row("read", "[]"), row("size_bytes", "64K", lambda value: f"{value}B")), sentences=("It reads.",)
)
POLICY = replace(
    make_policy(
        said={"files": Section({"read": (Said(Grant("/a"), PLACE), Said(Grant("/b", True), Place("q.yaml", 1, 1)))})},
        settings={"files": None},
        overrides=(Override("files.read", "it must", PLACE, "2031-01-01"),),
        layers=(Layer("no-files", PLACE, {"files": said(size_bytes=7)}),),
    ),
    allowances=said(read="/"),
    params={"memory": "1G"},
)


def shown(policy: Policy = POLICY) -> str:
    return "\n".join(show_policy(policy, [FILES]))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (7, "7"),
        ("plain", "plain"),
        ("", "''"),
        (" x", "' x'"),
        ((1, "a"), "[1, a]"),
        (frozenset({"b", "a"}), "[a, b]"),
        (Grant("/a"), "/a"),
        (Grant("/a", True), "{path: /a, optional: true}"),
        (Grant("/a?"), "/a?"),
    ],
)
def test_value_is_shown_as_a_person_would_write_it(value: object, text: str) -> None:
    assert value_text(value) == text


def test_show_has_every_value_with_its_place() -> None:
    lines = [" ".join(line.split()) for line in shown().splitlines()]
    assert "- /a # profiles/test.yaml:3:5" in lines
    assert "- {path: /b, optional: true} # q.yaml:1:1" in lines


def test_show_has_the_default_of_what_nobody_said() -> None:
    assert "size_bytes: 64K" in shown()


def test_show_uses_the_words_of_the_row() -> None:
    policy = replace(POLICY, said={"files": said(size_bytes=7)})
    assert "size_bytes: 7B" in shown(policy)


def test_show_has_layers_overrides_options_and_params() -> None:
    text = shown()
    assert "restrict no-files:" in text
    assert "files.size_bytes: 7B" in text
    assert "files.read: it must, until 2031-01-01" in text
    assert "options:" in text
    assert "memory: 1G" in text


def test_policy_data_is_plain() -> None:
    data = json.loads(json.dumps(policy_data(POLICY)))
    assert data["sections"]["files"]["read"][1] == {"value": {"path": "/b", "optional": True}, "place": "q.yaml:1:1"}


def test_explain_has_the_sentences_of_the_rooms() -> None:
    policy = make_policy(settings={"files": None, "silent": None})
    assert list(explain_policy(policy, [FILES, PretendRoom("silent")])) == ["files:", "  It reads."]


def plan() -> Plan:
    lost = Line("clocks", Status.WEAKENED, "no clocks", "time", "old", "new", PLACE)
    made = make_plan(step(SetUmask(U32(0o22)), Stage.PLACE, "process"), *least_steps())
    return replace(made, report=Report((lost,)))


def test_explain_has_every_step_with_its_place() -> None:
    lines = [" ".join(line.split()) for line in explain_plan(plan(), USER)]
    assert "0 process: set the umask to 0022 # profiles/test.yaml:3:5" in lines


def test_explain_has_what_was_lost() -> None:
    text = "\n".join(explain_plan(plan(), USER))
    assert "weakened: clocks: no clocks" in text
    assert "lost: time" in text


def test_explain_says_who_starts() -> None:
    assert "with privilege" in next(iter(explain_plan(plan(), ROOT)))


def test_plan_data_is_plain() -> None:
    data = json.loads(json.dumps(plan_data(plan())))
    assert data["inside"][0] == {
        "op": "SetUmask",
        "fields": {"mask": 18},
        "words": "set the umask to 0022",
        "control": "process",
        "place": "profiles/test.yaml:3:5",
    }


def test_plan_data_counts_the_bytes_of_filters() -> None:
    data = plan_data(plan())
    inside = data["inside"]
    assert isinstance(inside, list)
    assert inside[-1]["fields"]["program"] == {"bytes": 8}
