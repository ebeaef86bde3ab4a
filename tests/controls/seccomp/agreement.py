"""What has to agree about a drawn policy: the proof, the simulator, the reference, and the words of the grammar."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from sandboxer.abi import bpf
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp.bits import Region
from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.controls.seccomp.reference import answers_in, decide
from sandboxer.controls.seccomp.stack import HANDED_OVER, compile_stack
from sandboxer.verify.simulate import Call, run_stack
from tests.controls.seccomp.drawn import ALLOW, ARGUMENTS, KILL, LOG, NOTIFY, Policy, index_of


def edge_values(edges: Sequence[int]) -> list[int]:
    """Values at the edges of conditions and beside them, and with something in the upper half."""
    found = {0, 1, (1 << 64) - 1}
    for edge in edges:
        for value in (edge - 1, edge, edge + 1):
            found |= {value & (1 << 64) - 1, (value ^ 1 << 32) & (1 << 64) - 1, (value | 0xFFFFFFFF << 32) & (1 << 64) - 1}
    return sorted(found)


def points(policy: Policy, count: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Calls at the edges of what the policy says."""
    source = random.Random(policy.seed)
    edges: dict[str, dict[int, list[int]]] = {}
    for wall in policy.walls:
        for rule in (*(wall.allow or ()), *wall.deny):
            mine = edges.setdefault(rule.call, {})
            for name, value in rule.edges:
                mine.setdefault(index_of(rule.call, name, policy.situation.arch), []).append(value)
    choices = {call: {at: edge_values(found) for at, found in mine.items()} for call, mine in edges.items()}
    for call in source.choices(sorted(choices), k=count) if choices else ():
        here = choices[call]
        yield call, tuple(source.choice(here[at]) if at in here else source.choice((0, 1, 7 << 32)) for at in range(6))


def witnesses(policy: Policy, here: Settings, each: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """A call out of each region that the proof looks at, up to `each` for one name."""
    arch = policy.situation.arch
    for call in sorted({rule.call for wall in policy.walls for rule in (*(wall.allow or ()), *wall.deny)}):
        for count, (region, answer) in enumerate(answers_in(here, call, arch, Region())):
            if count == each:
                break
            point = region.point()
            assert decide(here, arch, NUMBERS[arch][call], point) == answer, (policy.texts(), call, point)
            yield call, point


def check_agreement(policy: Policy, count: int) -> None:
    """Proof, simulator, reference and the words of the grammar agree; the compiler proves its filters while it makes them."""
    arch = policy.situation.arch
    native = bpf.AUDIT_ARCH[arch]
    here = policy.settings()
    filters = compile_stack(here, arch)
    stack = [item.program for item in filters]
    assert all(item.instructions <= 4096 for item in filters)
    tried = [*points(policy, count), *witnesses(policy, here, 6)]
    for call, arguments in tried:
        number = NUMBERS[arch][call]
        found = run_stack(stack, Call(number, arguments, native)).value
        assert found == decide(here, arch, number, arguments), (policy.texts(), policy.situation, call, arguments)
        assert found == policy.expected(number, arguments), (policy.texts(), policy.situation, call, arguments)
    for number in (NUMBERS[arch]["execve"], NUMBERS[arch]["bpf"], NUMBERS[arch]["clone3"], 999, 0x40000000, 0xFFFFFFFF):
        assert run_stack(stack, Call(number, (), native)).value == policy.expected(number, (0,) * 6), (policy.texts(), number)
    for foreign in (0x40000003, bpf.AUDIT_ARCH["x86_64" if arch != "x86_64" else "aarch64"], native ^ 1):
        assert run_stack(stack, Call(59, (), foreign)).value == KILL
    if not any(wall.is_strict for wall in policy.walls):
        check_dropped_halves(policy, stack, tried[:8])
    if policy.seed % 8 == 5:
        check_determinism(policy, stack)
        check_watched(policy, here, tried[:8])


def check_dropped_halves(policy: Policy, stack: list[bytes], tried: Sequence[tuple[str, tuple[int, ...]]]) -> None:
    """A verdict does not hang on bits that the kernel drops."""
    arch = policy.situation.arch
    for call, arguments in tried:
        narrow = {index_of(call, name, arch): bits for name, (_, bits) in ARGUMENTS[call].items() if bits < 64}
        raised = tuple(
            value ^ (policy.seed & 0xFFFFFFFF | 1) << narrow[at] if at in narrow else value for at, value in enumerate(arguments)
        )
        assert max(raised) < 1 << 64
        native, number = bpf.AUDIT_ARCH[arch], NUMBERS[arch][call]
        assert run_stack(stack, Call(number, raised, native)).value == run_stack(stack, Call(number, arguments, native)).value


def check_determinism(policy: Policy, stack: list[bytes]) -> None:
    """The order in which things are written, and the run of the compiler, make no difference."""
    again = compile_stack(policy.settings(backwards=True), policy.situation.arch)
    assert [item.program for item in again] == stack, policy.texts()


def check_watched(policy: Policy, here: Settings, tried: Sequence[tuple[str, tuple[int, ...]]]) -> None:
    """Under a listener every refused call asks it, but for those by which the listener is set up."""
    arch = policy.situation.arch
    stack = [item.program for item in compile_stack(here, arch, is_watched=True)]
    for call, arguments in tried:
        number = NUMBERS[arch][call]
        wanted = policy.expected(number, arguments)
        if call not in ("seccomp", *HANDED_OVER) and wanted not in (ALLOW, LOG, bpf.RET_TRAP):
            wanted = NOTIFY
        assert run_stack(stack, Call(number, arguments, bpf.AUDIT_ARCH[arch])).value == wanted, (policy.texts(), call, arguments)
