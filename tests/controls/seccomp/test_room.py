"""The room: its rows, what it lacks on a host, the ops and lines that it gives."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.abi import bpf
from sandboxer.controls import seccomp
from sandboxer.controls.room import Scene
from sandboxer.controls.seccomp import bits
from sandboxer.errors import HostError, InternalError, ProfileError
from sandboxer.model.host import Host
from sandboxer.model.op import LoadFilter, LoadWatchedFilter
from sandboxer.model.policy import Trait
from sandboxer.model.report import Status
from sandboxer.model.stage import Stage
from tests.controls.seccomp.filters import MINIMAL, ROWS, layers, meaning

HOST = Host()
SCENE = Scene(HOST, frozenset())


def test_every_filter_is_loaded_at_the_very_end_in_the_order_of_the_stack() -> None:
    found = seccomp.lower(meaning(MINIMAL, "deny: [ptrace]"), SCENE)
    assert [step.stage for step in found.steps] == [Stage.FILTER] * 2
    assert all(isinstance(step.op, LoadFilter) and step.op.flags == bpf.FILTER_FLAG_SPEC_ALLOW for step in found.steps)
    assert [step.place.show() if step.place else "" for step in found.steps] == [
        "layer1.yaml:1:1",
        "test.yaml:1:9",
    ]


def test_report_says_how_much_is_allowed_and_how_long_the_filters_are() -> None:
    line = seccomp.lower(meaning(MINIMAL), SCENE).lines[0]
    assert line.status is Status.ENFORCED
    assert line.what.startswith("6 system calls are allowed, others answer EPERM; 1 filter of ")


def test_rule_that_does_nothing_is_reported() -> None:
    found = seccomp.lower(meaning(f"{MINIMAL}\ndeny: [ptrace]"), SCENE)
    assert [line.status for line in found.lines] == [Status.ENFORCED, Status.UNUSED]


def test_log_sets_the_flag_where_the_kernel_has_it() -> None:
    settings = meaning(f"{MINIMAL}\nlog: true")
    older = replace(HOST, seccomp_actions=HOST.seccomp_actions - {"log"})
    flags = [
        {step.op.flags for step in seccomp.lower(settings, Scene(host, frozenset())).steps if isinstance(step.op, LoadFilter)}
        for host in (HOST, older)
    ]
    assert flags == [{bpf.FILTER_FLAG_SPEC_ALLOW | bpf.FILTER_FLAG_LOG}, {bpf.FILTER_FLAG_SPEC_ALLOW}]


@pytest.mark.parametrize(("kernel", "waits"), [((5, 18), 0), ((5, 19), bpf.FILTER_FLAG_WAIT_KILLABLE_RECV), ((6, 1), 32)])
def test_watched_plan_loads_its_watched_filter_first(kernel: tuple[int, int], waits: int) -> None:
    scene = Scene(replace(HOST, kernel=kernel), frozenset(), is_watched=True)
    ops = [step.op for step in seccomp.lower(meaning(MINIMAL, "deny: [ptrace]"), scene).steps]
    assert [type(op) for op in ops] == [LoadWatchedFilter, LoadFilter]
    flags = [op.flags for op in ops if isinstance(op, (LoadFilter, LoadWatchedFilter))]
    assert flags == [bpf.FILTER_FLAG_SPEC_ALLOW | waits, bpf.FILTER_FLAG_SPEC_ALLOW]


def test_kernel_that_cannot_ask_refuses_to_be_watched() -> None:
    older = replace(HOST, seccomp_actions=HOST.seccomp_actions - {"user_notif"})
    with pytest.raises(HostError, match="user_notif"):
        seccomp.lower(meaning(MINIMAL), Scene(older, frozenset(), is_watched=True))
    assert seccomp.lower(meaning(MINIMAL), Scene(older, frozenset())).steps


def test_kernel_without_filters_is_a_lack_and_gives_no_op() -> None:
    bare = replace(HOST, seccomp_actions=frozenset())
    assert "errno" in seccomp.need(meaning(MINIMAL), bare)[0].why
    assert seccomp.lower(meaning(MINIMAL), Scene(bare, frozenset())).steps == ()
    assert seccomp.need(meaning(MINIMAL), HOST) == ()


def test_unknown_architecture_is_a_lack() -> None:
    assert "mips" in seccomp.need(meaning(MINIMAL), replace(HOST, arch="mips"))[0].why


def test_layer_that_was_not_understood_is_never_forgotten() -> None:
    with pytest.raises(InternalError, match="layer 1 was not understood"):
        seccomp.lower(meaning(MINIMAL), Scene(HOST, frozenset(), layers("deny: [ptrace]")))
    seccomp.lower(meaning(MINIMAL, "deny: [ptrace]"), Scene(HOST, frozenset(), layers("deny: [ptrace]")))


def test_room_keeps_layers_apart_and_reads_no_host_path() -> None:
    assert seccomp.STACKED
    assert seccomp.traits(meaning(MINIMAL)) == seccomp.mentions(meaning(MINIMAL)) == frozenset()


@pytest.mark.parametrize("call", ["add_key", "keyctl", "request_key"])
def test_trait_tells_other_rooms_of_keyrings(call: str) -> None:
    assert seccomp.traits(meaning(f"{MINIMAL[:-1]}, {call}]")) == {Trait.USES_KEYRINGS}


def test_trait_tells_other_rooms_of_namespaces_that_are_made() -> None:
    assert seccomp.traits(meaning(f"{MINIMAL[:-1]}, unshare]")) == {Trait.MAKES_NAMESPACES}


def test_every_row_has_help() -> None:
    assert all(row.help and row.default for row in ROWS.values())


def test_settings_of_another_room_are_refused() -> None:
    with pytest.raises(InternalError):
        seccomp.explain("something")
    assert seccomp.explain(meaning(MINIMAL))
    assert seccomp.widens(meaning(MINIMAL), meaning(MINIMAL)) == ()


def test_rules_that_cannot_be_compared_in_a_while_are_refused_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"{MINIMAL}\ndeny: [{{add_key: {{plen: {{masked: [7, 3]}}}}}}]".replace(
        "[execve", "[{add_key: {plen: {masked: [14, 6]}}}, execve"
    )
    found = meaning(text)
    assert seccomp.explain(found)
    monkeypatch.setattr(bits.Effort.__init__, "__defaults__", (2,))
    for question in (lambda: seccomp.explain(found), lambda: seccomp.traits(found), lambda: seccomp.widens(found, found)):
        with pytest.raises(ProfileError, match="too many to be compared with each other"):
            question()
