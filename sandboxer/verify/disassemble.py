"""Filters as text, one instruction a line, for reviews and for the one test that shows the bytes.

0004  if nr == getpid: go on, else 0006
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from sandboxer.abi import bpf
from sandboxer.abi.errnos import Errno
from sandboxer.abi.syscalls_table import NUMBERS

_COMPARE = {bpf.JMP_JEQ_K: "==", bpf.JMP_JGT_K: ">", bpf.JMP_JGE_K: ">=", bpf.JMP_JSET_K: "&"}
_ACTIONS = {
    bpf.RET_KILL_PROCESS: "kill the process",
    bpf.RET_KILL_THREAD: "kill the thread",
    bpf.RET_TRAP: "trap",
    bpf.RET_USER_NOTIF: "notify",
    bpf.RET_TRACE: "trace",
    bpf.RET_LOG: "log",
    bpf.RET_ALLOW: "allow",
}


def _field(offset: int) -> str:
    match offset:
        case bpf.DATA_NR:
            return "nr"
        case bpf.DATA_ARCH:
            return "arch"
    index, half = divmod(offset - bpf.DATA_ARGS, 8)
    return f"argument {index} {'high' if half else 'low'}" if offset >= bpf.DATA_ARGS else f"data[{offset}]"


def _action(value: int) -> str:
    if value & bpf.RET_ACTION == bpf.RET_ERRNO:
        number = value & bpf.RET_DATA
        return next((name for name, known in Errno.__members__.items() if known == number), f"errno {number}")
    return _ACTIONS.get(value & bpf.RET_ACTION, f"return {value:#x}")


def _value(loaded: str, value: int, names: dict[int, str]) -> str:
    return names.get(value, str(value)) if loaded == "nr" else f"{value:#x}"


def disassemble(program: bytes, arch: str = "x86_64") -> Iterator[str]:
    """The lines of a filter. What is loaded is named as far as straight reading tells; an unknown code is shown as it is."""
    names = {number: name for name, number in NUMBERS[arch].items()}
    loaded = "?"
    for at, (code, on_true, on_false, k) in enumerate(struct.iter_unpack("<HBBI", program)):
        match code:
            case bpf.LD_W_ABS:
                loaded = _field(k)
                text = f"load {loaded}"
            case bpf.ALU_AND_K:
                text = f"mask with {k:#x}"
            case bpf.JMP_JA:
                text = f"go to {at + 1 + k:04}"
            case bpf.RET_K:
                text = _action(k)
            case _ if code in _COMPARE:
                targets = ["go on" if step == 0 else f"{at + 1 + step:04}" for step in (on_true, on_false)]
                text = f"if {loaded} {_COMPARE[code]} {_value(loaded, k, names)}: {targets[0]}, else {targets[1]}"
            case _:
                text = f"code {code:#x} {on_true} {on_false} {k:#x}"
        yield f"{at:04}  {text}"
