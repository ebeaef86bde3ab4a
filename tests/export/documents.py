"""What tests of OCI seccomp share: documents out of text, and an interpreter of them that knows nothing of our rules' algebra."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sandboxer.abi import bpf
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.room import Scope
from sandboxer.controls.seccomp import understand
from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.controls.seccomp.rules import Situation, find_arguments
from sandboxer.export.notes import Translation
from sandboxer.export.oci_document import Document
from sandboxer.export.oci_import import read
from sandboxer.export.oci_read import read_document
from sandboxer.model.json_node import parse_json
from sandboxer.model.node import Mapping, parse_node
from tests.controls.seccomp.filters import parsed

FIXTURES = Path(__file__).parent / "fixtures"
LAUNCH = [{"names": ["execve", "exit_group"], "action": "SCMP_ACT_ALLOW"}]
ACTIONS = {
    "SCMP_ACT_ALLOW": bpf.RET_ALLOW, "SCMP_ACT_LOG": bpf.RET_LOG, "SCMP_ACT_KILL": 0, "SCMP_ACT_KILL_THREAD": 0,
    "SCMP_ACT_KILL_PROCESS": bpf.RET_KILL_PROCESS, "SCMP_ACT_TRAP": bpf.RET_TRAP, "SCMP_ACT_NOTIFY": bpf.RET_USER_NOTIF,
}  # fmt: skip
STRICTEST_FIRST = ("KILL_PROCESS", "KILL", "KILL_THREAD", "TRAP", "ERRNO", "NOTIFY", "LOG", "ALLOW")
GOARCH = {"x86_64": "amd64", "aarch64": "arm64", "riscv64": "riscv64"}


def entry(
    name: str, action: str = "ALLOW", *args: tuple[int, str, int] | tuple[int, str, int, int], **more: Any
) -> dict[str, Any]:
    """One item of `syscalls`."""
    items = [dict(zip(("index", "op", "value", "valueTwo"), (a[0], f"SCMP_CMP_{a[1]}", *a[2:]), strict=False)) for a in args]
    return {"names": name.split(), "action": f"SCMP_ACT_{action}", **({"args": items} if items else {}), **more}


def profile(*entries: dict[str, Any], default: str = "ERRNO", **more: Any) -> dict[str, Any]:
    """A document that lets a program start, and these entries."""
    return {"defaultAction": f"SCMP_ACT_{default}", "syscalls": [*LAUNCH, *entries], **more}


def imported(value: object, name: str = "oci/test") -> Translation:
    """The import of plain data, written over several lines."""
    return read(json.dumps(value, indent=1).encode(), "x.json", name)


def document_of(value: object) -> Document:
    """The document of plain data."""
    return read_document(parse_json(json.dumps(value, indent=1).encode(), "x.json"))


def settings_of(text: str) -> Settings:
    """What a policy file means, alone in a profile."""
    root = parse_node(text.encode(), "x.yaml")
    assert isinstance(root, Mapping)
    node = root.get("seccomp")
    assert isinstance(node, Mapping)
    found = understand(parsed(node), Scope(cwd="/", home="/"))
    assert isinstance(found, Settings)
    return found


# ── the interpreter ───────────────────────────────────────────────────────────────────────────────────────────────────


def says(data: dict[str, Any], here: Situation, call: str, arguments: Sequence[int]) -> int:
    """What a document in plain data answers to a call, to its letter: 64 bits, conjunctions, the strictest of what matches."""
    found = [item for item in data["syscalls"] if _is_about(item, here, call, arguments)]
    ranked = sorted(found, key=lambda item: STRICTEST_FIRST.index(item["action"].removeprefix("SCMP_ACT_")))
    if ranked:
        return _answer(ranked[0]["action"], ranked[0].get("errnoRet"))
    return _answer(data["defaultAction"], data.get("defaultErrnoRet"))


def _answer(action: str, errno: int | None) -> int:
    if action == "SCMP_ACT_ERRNO":
        return bpf.RET_ERRNO | (1 if errno is None else errno)
    return ACTIONS[action]


def _is_about(item: dict[str, Any], here: Situation, call: str, arguments: Sequence[int]) -> bool:
    if call not in item.get("names", [item.get("name")]):
        return False
    wanted, unwanted = item.get("includes") or {}, item.get("excludes") or {}
    held = {name for name, bit in _capabilities().items() if here.capabilities >> bit & 1}
    if wanted.get("arches") and GOARCH[here.arch] not in wanted["arches"]:
        return False
    if GOARCH[here.arch] in (unwanted.get("arches") or ()) or held & set(unwanted.get("caps") or ()):
        return False
    if not held.issuperset(wanted.get("caps") or ()):
        return False
    if wanted.get("minKernel") and here.kernel < _version(wanted["minKernel"]):
        return False
    if unwanted.get("minKernel") and here.kernel >= _version(unwanted["minKernel"]):
        return False
    return all(_holds(test, arguments[test["index"]]) for test in item.get("args") or ())


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)


def _capabilities() -> dict[str, int]:
    from sandboxer.abi.capabilities import Capability

    return {f"CAP_{item.name}": int(item) for item in Capability}


def _holds(test: dict[str, Any], value: int) -> bool:
    wanted = test["value"]
    match test["op"]:
        case "SCMP_CMP_NE":
            return bool(value != wanted)
        case "SCMP_CMP_LT":
            return bool(value < wanted)
        case "SCMP_CMP_LE":
            return bool(value <= wanted)
        case "SCMP_CMP_EQ":
            return bool(value == wanted)
        case "SCMP_CMP_GE":
            return bool(value >= wanted)
        case "SCMP_CMP_GT":
            return bool(value > wanted)
    return bool(value & wanted == test.get("valueTwo", 0))


def clean(call: str, arch: str, arguments: Sequence[int]) -> tuple[int, ...]:
    """The arguments with every bit cleared that the kernel does not look at."""
    known = find_arguments(call, arch)
    if known is None:
        return tuple(arguments)
    masks = [argument.mask for argument in known] + [0] * (6 - len(known))
    return tuple(value & mask for value, mask in zip(arguments, masks, strict=True))


def number_of(call: str, arch: str) -> int | None:
    return NUMBERS[arch].get(call)
