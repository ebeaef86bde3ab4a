"""The constants that rules may name are the kernel's, and every kind has some."""

from __future__ import annotations

import fcntl
import socket
import termios

from sandboxer.abi.arguments_table import ARGUMENTS
from sandboxer.abi.constants import CONSTANTS, KINDS
from sandboxer.abi.namespaces import CloneFlag
from sandboxer.abi.prctl import Prctl


def test_constants_agree_with_python() -> None:
    for module in (socket, fcntl, termios):
        for name, value in vars(module).items():
            if name in CONSTANTS and isinstance(value, int):
                assert CONSTANTS[name] == value & 0xFFFFFFFF, name


def test_constants_agree_with_the_other_tables() -> None:
    assert all(CONSTANTS[f"CLONE_{flag.name}"] == flag for flag in CloneFlag)
    assert all(CONSTANTS.get(f"PR_{option.name}", option) == option for option in Prctl)


def test_kinds_name_arguments_that_exist() -> None:
    for kind in KINDS:
        call, argument = kind.split(".")
        assert argument in [word.split(":")[0] for word in ARGUMENTS[call].split()], kind


def test_every_prefix_of_a_kind_has_a_constant() -> None:
    for kind, prefixes in KINDS.items():
        for prefix in prefixes:
            assert any(name.startswith(prefix) for name in CONSTANTS), (kind, prefix)
