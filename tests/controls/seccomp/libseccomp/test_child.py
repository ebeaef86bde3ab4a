"""The child in which libseccomp works: what goes in and out, and what is said when it does not."""

from __future__ import annotations

import sys

import pytest

from sandboxer.abi import bpf
from sandboxer.controls.seccomp.libseccomp import child as room
from sandboxer.controls.seccomp.libseccomp.blocks import Comparison
from sandboxer.controls.seccomp.libseccomp.child import Order, compile_in_child, read_order
from sandboxer.errors import HostError
from sandboxer.verify.simulate import Call, run_filter

REFUSED = bpf.RET_ERRNO | 1
ORDER = Order(
    bpf.RET_ALLOW,
    REFUSED,
    ((39, ()), (41, (Comparison(0, 0xFFFFFFFF, 1), Comparison(1, 0xF, 1))), (41, (Comparison(0, 0xFFFFFFFF, 2),))),
)


@pytest.mark.parametrize(
    "order", [ORDER, Order(0, bpf.RET_ALLOW, ()), Order(1, 2, ((0, (Comparison(5, (1 << 64) - 1, 1 << 63),)),))]
)
def test_order_that_was_written_is_read_again(order: Order) -> None:
    assert read_order(order.write()) == order


def test_order_is_lines_of_numbers() -> None:
    assert ORDER.write() == (f"{bpf.RET_ALLOW} {REFUSED}\n39\n41 0 4294967295 1 1 15 1\n41 0 4294967295 2".encode())


def test_filter_answers_as_ordered() -> None:
    program = compile_in_child(ORDER)
    assert run_filter(program, Call(39)).is_allowed
    assert run_filter(program, Call(41, (1, 0x801))).is_allowed
    assert run_filter(program, Call(41, (2, 7))).is_allowed
    assert run_filter(program, Call(41, (1, 2))).value == REFUSED
    assert run_filter(program, Call(40)).value == REFUSED
    assert run_filter(program, Call(39, arch=bpf.AUDIT_ARCH["i386"])).value == bpf.RET_KILL_PROCESS


def child(monkeypatch: pytest.MonkeyPatch, code: str) -> str:
    """What is said about a child that runs this code instead."""
    monkeypatch.setattr(room, "run_child", lambda argv, data: RUN([sys.executable, "-I", "-c", code], data))
    with pytest.raises(HostError) as caught:
        compile_in_child(ORDER)
    return str(caught.value)


RUN = room.run_child


def test_missing_library_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = child(monkeypatch, "import sys; print('libseccomp.so.2: no such file', file=sys.stderr); sys.exit(3)")
    assert "libseccomp cannot be loaded" in shown
    assert "libseccomp.so.2: no such file" in shown
    assert "apt install libseccomp2" in shown
    assert "backend: own" in shown


def test_error_of_the_library_is_said_by_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = child(monkeypatch, "print('x'); raise ValueError('no such rule')")
    assert "libseccomp did not write the filter" in shown
    assert "ValueError: no such rule" in shown
    assert "Traceback" not in shown


def test_child_that_does_not_end_is_ended_by_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 1))"
    shown = child(monkeypatch, f"{limit}\nwhile True: pass")
    assert "signal 24 ended it" in shown or "signal 9 ended it" in shown
    assert "5 s of CPU time" in shown


def test_child_limits_its_own_cpu_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What main() does first, seen by the limit that it leaves behind in a child."""
    code = (
        "import io, resource, sys\n"
        "sys.modules['pyseccomp'] = None\n"
        f"from {room.MODULE} import main\n"
        "status = main()\n"
        "print(resource.getrlimit(resource.RLIMIT_CPU), status)\n"
    )
    status, written, _ = RUN([sys.executable, "-c", code], ORDER.write())
    assert status == 0
    assert written.decode().strip() == f"({room.CPU_SECONDS}, {room.CPU_SECONDS}) 3"
