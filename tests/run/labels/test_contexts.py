"""What is asked of SELinux ahead of a start, of a pretended policy: contexts, the caller's way in, labels of what is shown."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from sandboxer.abi.mount import MountAttr
from sandboxer.controls.lsm.selinux import SHARED_TYPE
from sandboxer.model.host import Host
from sandboxer.model.op import (
    NO_SLOT,
    PAIR,
    U32,
    U64,
    LabelMounts,
    LimitOutput,
    MountOverlay,
    Op,
    OpenTree,
    SetExecContext,
    Text,
    TextList,
)
from sandboxer.model.plan import Plan, Recipe, Step
from sandboxer.model.report import Report
from sandboxer.model.stage import Stage
from sandboxer.run.labels import contexts
from sandboxer.run.labels.contexts import Wanted, context_of, find_handed, find_unknown, module_of

COMMAND, FILES = f"u:r:sandboxer_1_t:s0:{PAIR}", f"u:object_r:sandboxer_1_file_t:s0:{PAIR}"
READ_ONLY = MountAttr.RDONLY
HOST = Host(selinux_context="u:r:caller_t:s0")


@dataclass
class Policy:
    """What a kernel would say: unknown contexts, and what one may not do to another, by (source type, target, class)."""

    unknown: set[str] = field(default_factory=set)
    refused: dict[tuple[str, str, str], set[str]] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def is_valid(self, context: str) -> bool:
        self.asked.append(context)
        return context.split(":")[2] not in self.unknown

    def find_missing(self, source: str, target: str, kind: str, wanted: tuple[str, ...]) -> tuple[str, ...]:
        key = (source.split(":")[2], target.split(":")[2], kind)
        return tuple(name for name in wanted if name in self.refused.get(key, ()))


@pytest.fixture
def policy(monkeypatch: pytest.MonkeyPatch) -> Policy:
    found = Policy()
    monkeypatch.setattr(contexts, "is_valid", found.is_valid)
    monkeypatch.setattr(contexts, "find_missing", found.find_missing)
    monkeypatch.setattr(contexts, "find_label", lambda path: found.labels.get(path, ""))
    return found


def wanted(*ops: Op, is_made: bool = True) -> Wanted:
    every = (LabelMounts(Text(FILES)), *ops, SetExecContext(Text(COMMAND)))
    steps = tuple(Step(op, Stage.MOUNTS, "test") for op in every)
    return Wanted(Plan("test", (), steps, (), Recipe(), Report()), is_made, "load it")


def tree(path: Path | str, slot: int = 1, attributes: MountAttr = MountAttr.NONE) -> OpenTree:
    return OpenTree(U32(slot), Text(str(path)), U64(attributes), U32(1), NO_SLOT)


def test_plan_without_a_context_asks_nobody(policy: Policy, tmp_path: Path) -> None:
    plain = replace(wanted(tree(tmp_path)).plan, inside=(Step(tree(tmp_path), Stage.SOURCES, "test"),))
    assert find_unknown(Wanted(plain, True, ""), HOST) == ()
    assert (policy.asked, module_of(plain)) == ([], "")


def test_contexts_are_asked_for_with_some_pair(policy: Policy) -> None:
    assert find_unknown(wanted(), HOST) == ()
    assert policy.asked == [context.replace(PAIR, "c100,c101") for context in (COMMAND, FILES)]
    assert module_of(wanted().plan) == "sandboxer_1"


@pytest.mark.parametrize("name", ["sandboxer_1_t", "sandboxer_1_file_t"])
def test_type_that_the_policy_lacks_is_told_with_what_loads_it(policy: Policy, name: str) -> None:
    policy.unknown.add(name)
    (found,) = find_unknown(wanted(), HOST)
    assert (found.name, found.found, found.mend) == (name, "the module is not loaded", "load it")
    (found,) = find_unknown(wanted(is_made=False), HOST)
    assert found.found.startswith("the policy has no context u:")


def test_domain_by_name_may_be_refused_a_part_of_the_system_and_one_of_ours_may_not(policy: Policy) -> None:
    policy.labels["/etc"] = "u:object_r:odd_t:s0"
    policy.refused["sandboxer_1_t", "odd_t", "dir"] = {"read", "write"}
    shown, changed = tree("/etc", attributes=READ_ONLY), tree("/etc")
    assert find_unknown(wanted(shown, is_made=False), HOST) == ()
    assert find_unknown(wanted(shown), HOST) != ()
    assert find_unknown(wanted(changed, is_made=False), HOST) != ()


@pytest.mark.parametrize(
    ("name", "mend"), [("container_t", "chcon -R -t container_file_t {}"), ("other_t", "chcon -R -t TYPE {}, ")]
)
def test_directory_of_a_domain_by_name_is_to_have_the_type_of_its_files(
    policy: Policy, tmp_path: Path, name: str, mend: str
) -> None:
    policy.labels[str(tmp_path)] = "u:object_r:var_t:s0"
    policy.refused[name, "var_t", "dir"] = {"read"}
    ops = (LabelMounts(Text(FILES)), tree(tmp_path), SetExecContext(Text(f"u:r:{name}:s0")))
    steps = tuple(Step(op, Stage.SOURCES, "test") for op in ops)
    (found,) = find_unknown(Wanted(replace(wanted().plan, inside=steps), False, ""), HOST)
    assert found.mend.startswith(mend.format(tmp_path))


def test_limited_outputs_go_through_pipes_that_the_domain_has_to_be_allowed(policy: Policy) -> None:
    limit = Step(LimitOutput(U64(1)), Stage.CLOCK, "test")
    limited = Wanted(replace(wanted().plan, before=(limit,)), False, "")
    assert find_unknown(limited, HOST) == ()
    policy.refused["sandboxer_1_t", "caller_t", "fifo_file"] = {"write"}
    (found,) = find_unknown(limited, HOST)
    assert found.found == "limited outputs go through pipes of u:r:caller_t:s0, which it may not use (write)"
    assert find_unknown(wanted(is_made=False), HOST) == ()
    terminal = replace(limited.plan, recipe=replace(limited.plan.recipe, terminal=True))
    assert find_unknown(replace(limited, plan=terminal), HOST) == ()


def test_streams_are_the_callers_own_unless_they_are_a_terminal_or_limited() -> None:
    plain = wanted().plan
    terminal = replace(plain, recipe=replace(plain.recipe, terminal=True))
    limited = replace(plain, before=(Step(LimitOutput(U64(1)), Stage.CLOCK, "test"),))
    assert [find_handed(plan) for plan in (plain, terminal, limited)] == [(0, 1, 2), (), (0,)]
    assert context_of(plain) == COMMAND


@pytest.mark.parametrize(("target", "permission"), [("caller_t", "setexec"), ("sandboxer_1_t", "transition")])
def test_caller_who_may_not_enter_the_domain_is_told(policy: Policy, target: str, permission: str) -> None:
    policy.refused["caller_t", target, "process"] = {permission}
    (found,) = find_unknown(wanted(), HOST)
    assert (found.name, found.found) == ("sandboxer_1_t", "u:r:caller_t:s0 may not enter it")


def test_directory_that_may_not_be_written_is_told_and_one_that_is_only_read_is_not(policy: Policy, tmp_path: Path) -> None:
    policy.labels[str(tmp_path)] = "u:object_r:var_t:s0"
    policy.refused["sandboxer_1_t", "var_t", "dir"] = {"add_name"}
    (found,) = find_unknown(wanted(tree(tmp_path)), HOST)
    assert found.found == f"{tmp_path} has the label u:object_r:var_t:s0, which it may not write to (add_name)"
    assert found.mend == f"chcon -R -t {SHARED_TYPE} {tmp_path}"
    assert find_unknown(wanted(tree(tmp_path, attributes=READ_ONLY)), HOST) == ()


def test_thing_that_may_not_be_read_is_told_whatever_it_is(policy: Policy, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    policy.labels[str(path)] = "u:object_r:var_t:s0"
    policy.refused["sandboxer_1_t", "var_t", "file"] = {"open"}
    (found,) = find_unknown(wanted(tree(path, attributes=READ_ONLY)), HOST)
    assert "which it may not read (open)" in found.found
    policy.labels["/dev/null"] = "u:object_r:odd_t:s0"
    policy.refused["sandboxer_1_t", "odd_t", "chr_file"] = {"read"}
    (found,) = find_unknown(wanted(tree("/dev/null", attributes=READ_ONLY)), HOST)
    assert found.mend == "restorecon -R /dev/null"


def test_what_an_overlay_shows_has_a_label_of_its_own(policy: Policy, tmp_path: Path) -> None:
    policy.labels[str(tmp_path)] = "u:object_r:var_t:s0"
    policy.refused["sandboxer_1_t", "var_t", "dir"] = {"read"}
    over = MountOverlay(Text("/x"), U64(0), U32(1), NO_SLOT, U64(0), U32(0), U32(0), U32(0o755), TextList(()))
    assert find_unknown(wanted(tree(tmp_path), over), HOST) == ()
    assert find_unknown(wanted(tree(tmp_path, 2), over), HOST) != ()


def test_things_without_a_label_or_that_are_gone_are_left_to_the_start(policy: Policy, tmp_path: Path) -> None:
    policy.refused["sandboxer_1_t", "var_t", "dir"] = {"read"}
    assert find_unknown(wanted(tree(tmp_path), tree(tmp_path / "missing", 2)), HOST) == ()
