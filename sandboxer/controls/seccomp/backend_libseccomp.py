"""The filters that libseccomp writes, through pyseccomp.

It is given as little room for error as possible: one action beside the default, numbers from our own tables, comparisons for
equality under a mask only. (With orders, or with names that it does not know, it writes filters that are wider than the rules.)
Denies never share a filter with grants, because there a grant of a whole call swallows the deny of a part of it.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sandboxer.abi import bpf
from sandboxer.controls.seccomp.assembly import too_long
from sandboxer.controls.seccomp.rules import Comparison, Rule, alternatives, find_number, reduced
from sandboxer.errors import HostError, InternalError, Problem

if TYPE_CHECKING:
    import pyseccomp

_BINARY_TREE = 2  # CTL_OPTIMIZE: seccomp_attr_set(3)


def compile_filter(arch: str, rules: Iterable[Rule], *, matched: int, default: int) -> bytes:
    """A filter that answers `matched` to every use of a call that some rule is about, and `default` to all others.

    matched, default: SECCOMP_RET_* with data. Calls that the architecture does not have are left out; x32 and other
    architectures are killed.
    Raises: ProfileError if the filter is too long; HostError if libseccomp is missing or made for another architecture.
    """
    if platform.machine() != arch:
        why = f"libseccomp is asked with the numbers of the machine that it runs on, {platform.machine()}"
        raise HostError(Problem(f"the libseccomp backend cannot write filters for {arch} here", why=why))
    library = _import()
    work = library.SyscallFilter(default)
    work.set_attr(library.Attr.ACT_BADARCH, library.KILL_PROCESS)
    work.set_attr(library.Attr.CTL_OPTIMIZE, _BINARY_TREE)
    for rule in reduced(rules):
        number = find_number(rule.call, arch)
        if number is None:
            continue
        for alternative in alternatives(rule, arch):
            work.add_rule(matched, number, *(_argument(library, test) for test in alternative))
    program = _export(work)
    count = len(program) // bpf.INSTRUCTION_BYTES
    if count == 0:
        raise InternalError(Problem("libseccomp wrote an empty filter"))
    if count > bpf.MAX_INSTRUCTIONS:
        raise too_long(count)
    return program


def _import() -> pyseccomp:
    # Importing costs 19 ms, most of it the search for the shared library: never on a warm start.
    try:
        import pyseccomp as library
    except (ImportError, RuntimeError, OSError) as error:
        attempt = "apt install libseccomp2, or the package of that name here"
        raise HostError(Problem("libseccomp cannot be loaded", why=str(error), attempt=attempt)) from error
    return library


def _argument(library: pyseccomp, test: Comparison) -> pyseccomp.Arg:
    return library.Arg(test.index, library.MASKED_EQ, test.mask, test.value)


def _export(work: pyseccomp.SyscallFilter) -> bytes:
    with open(os.memfd_create("filter", os.MFD_CLOEXEC), "rb") as file:
        work.export_bpf(file)
        file.seek(0)
        return file.read()
