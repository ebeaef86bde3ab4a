"""What has to catch every mutant, in seconds: tables against numbers written down by hand, brute force over few bits, calls whose
answers a person worked out, and the provers against filters that are wrong.

Nothing here is computed by what it checks: where both sides of a comparison come from the code under test, one of them is also
compared with a literal. Cheap checks come first.
"""

from __future__ import annotations

import fcntl
import itertools
import socket
import struct
import termios
from collections.abc import Callable, Iterator

from hypothesis import HealthCheck, Phase, given, settings

from fuzz.mutants.golden import GOLDEN, Gold
from sandboxer.abi import bpf
from sandboxer.abi.arguments_table import ARGUMENTS, BY_ARCH
from sandboxer.abi.constants import CONSTANTS
from sandboxer.abi.syscalls_table import NEWEST, NUMBERS
from sandboxer.controls.seccomp import bits, reference, stack
from sandboxer.controls.seccomp import cases as algebra
from sandboxer.controls.seccomp.bits import Region
from sandboxer.controls.seccomp.compiler import proof
from sandboxer.controls.seccomp.compiler.diagram import ARCH, NUMBER, Forge, number_pieces, walls_diagram
from sandboxer.controls.seccomp.compiler.emit import emit
from sandboxer.controls.seccomp.compiler.program import Instruction, Program, decode, encode, loaded_length, stacked_length
from sandboxer.controls.seccomp.libseccomp.backend import alternatives, denied_rules, granted_rules
from sandboxer.controls.seccomp.libseccomp.blocks import comparisons
from sandboxer.controls.seccomp.libseccomp.closing import closing_filter, unnamed_ranges
from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.controls.seccomp.reference import decide
from sandboxer.controls.seccomp.rules import Rule, Situation, are_included, find_arguments, overlaps
from sandboxer.controls.seccomp.stack import compile_stack
from sandboxer.errors import InternalError, ProfileError
from sandboxer.verify.simulate import BadFilter, Call, run_filter, run_stack
from tests.controls.seccomp.agreement import check_agreement
from tests.controls.seccomp.drawn import Policy, policies
from tests.controls.seccomp.filters import meaning, section

ALLOW, LOG, KILL, EPERM, ENOSYS = 0x7FFF0000, 0x7FFC0000, 0x80000000, 0x50001, 0x50026
X86, ARM, RISCV = 0xC000003E, 0xC00000B7, 0xC00000F3
WORD = 0xFFFFFFFF
MINIMAL = "allow: [execve, exit_group, getpid]"


# ── tables ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def check_bpf() -> None:
    """linux/bpf_common.h, linux/seccomp.h, linux/audit.h."""
    assert (bpf.LD_W_ABS, bpf.JMP_JA, bpf.JMP_JEQ_K, bpf.JMP_JGT_K, bpf.JMP_JGE_K, bpf.JMP_JSET_K) == (32, 5, 21, 37, 53, 69)
    assert (bpf.ALU_AND_K, bpf.RET_K, bpf.MAX_INSTRUCTIONS, bpf.INSTRUCTION_BYTES) == (84, 6, 4096, 8)
    assert (bpf.MAX_STACKED_INSTRUCTIONS, bpf.STACKED_PENALTY) == (32768, 4)
    assert (bpf.DATA_NR, bpf.DATA_ARCH, bpf.DATA_ARGS) == (0, 4, 16)
    assert (bpf.RET_KILL_PROCESS, bpf.RET_KILL_THREAD, bpf.RET_TRAP, bpf.RET_ERRNO) == (KILL, 0, 0x30000, 0x50000)
    assert (bpf.RET_USER_NOTIF, bpf.RET_TRACE, bpf.RET_LOG, bpf.RET_ALLOW) == (0x7FC00000, 0x7FF00000, LOG, ALLOW)
    assert (bpf.RET_ACTION, bpf.RET_DATA) == (0xFFFF0000, 0xFFFF)
    assert (bpf.X32_BIT, bpf.NO_NUMBER) == (1 << 30, WORD)
    assert [bpf.AUDIT_ARCH[arch] for arch in ("x86_64", "aarch64", "riscv64", "i386")] == [X86, ARM, RISCV, 0x40000003]


KNOWN = {
    "x86_64": "read 0 write 1 open 2 mmap 9 mprotect 10 ioctl 16 getpid 39 socket 41 clone 56 execve 59 kill 62 ptrace 101 "
    "mount 165 exit_group 231 openat 257 mknodat 259 unshare 272 seccomp 317 bpf 321 execveat 322 clone3 435 mseal 462",
    "aarch64": "read 63 write 64 mmap 222 mprotect 226 ioctl 29 getpid 172 socket 198 clone 220 execve 221 kill 129 ptrace 117 "
    "mount 40 exit_group 94 openat 56 mknodat 33 unshare 97 seccomp 277 bpf 280 execveat 281 clone3 435 mseal 462",
    "riscv64": "read 63 write 64 mmap 222 mprotect 226 ioctl 29 getpid 172 socket 198 clone 220 execve 221 kill 129 ptrace 117 "
    "mount 40 exit_group 94 openat 56 mknodat 33 unshare 97 seccomp 277 bpf 280 riscv_hwprobe 258 clone3 435 mseal 462",
}
WIDTHS = """
socket family:32 type:32 protocol:32 | ioctl fd:32 cmd:32 arg:64 | lseek fd:32 offset:64 whence:32
mknodat dfd:32 filename:* mode:16 dev:32 | openat dfd:32 filename:* flags:32 mode:16 | getpid
clone clone_flags:32 newsp:64 parent_tidptr:* child_tidptr:* tls:64 | unshare unshare_flags:64
prctl option:32 arg2:64 arg3:64 arg4:64 arg5:64 | ptrace request:64 pid:32 addr:64 data:64 | kill pid:32 sig:32
seccomp op:32 flags:32 uargs:* | bpf cmd:32 uattr:* size:32 | mprotect start:64 len:64 prot:64
"""
CLONE_BACKWARDS = "clone_flags:32 newsp:64 parent_tidptr:* tls:64 child_tidptr:*"


def check_tables() -> None:
    """Numbers and widths by hand, constants by Python's own modules."""
    for arch, text in KNOWN.items():
        words = text.split()
        for name, number in zip(words[::2], words[1::2], strict=True):
            assert NUMBERS[arch][name] == int(number), (arch, name)
        assert NEWEST[arch] == max(NUMBERS[arch].values())
        assert len(set(NUMBERS[arch].values())) == len(NUMBERS[arch])
        assert {name for name, number in NUMBERS[arch].items() if number >= 424} <= set(NUMBERS["x86_64"])
    for name, number in NUMBERS["aarch64"].items():
        # Both have the generic table.
        assert NUMBERS["riscv64"].get(name, number) == number, name
    for row in WIDTHS.replace("\n", "|").split("|"):
        if row.strip():
            call, _, text = row.strip().partition(" ")
            assert ARGUMENTS[call] == text, call
    assert BY_ARCH["aarch64"]["clone"] == BY_ARCH["riscv64"]["clone"] == CLONE_BACKWARDS
    for module in (socket, fcntl, termios):
        for name, value in vars(module).items():
            assert CONSTANTS.get(name, value) == value or value < 0 or not isinstance(value, int), name
    by_hand = {"SOCK_TYPE_MASK": 15, "CLONE_NEWUSER": 1 << 28, "CLONE_NEWNS": 1 << 17, "S_IFMT": 0xF000, "S_IFCHR": 0x2000}
    by_hand |= {"PROT_READ": 1, "PROT_WRITE": 2, "PROT_EXEC": 4, "AF_ALG": 38, "TIOCLINUX": 0x541C, "SECCOMP_SET_MODE_FILTER": 1}
    assert all(CONSTANTS[name] == value for name, value in by_hand.items())
    mode = next(known for known in find_arguments("mknodat", "x86_64") or () if known.name == "mode")
    assert (mode.index, mode.bits, mode.mask, mode.is_pointer) == (2, 16, 0xFFFF, False)


# ── algebra ───────────────────────────────────────────────────────────────────────────────────────────────────────────

SMALL = range(16)
ENDS = [(low, high) for low in SMALL for high in range(low, 16)]


def held(ranges: object, mask: int) -> set[int]:
    """The values under a mask that are in ranges, one by one."""
    listed = tuple(ranges)  # type: ignore[call-overload]
    return {value for value in SMALL if not value & ~mask and any(low <= value <= high for low, high in listed)}


def check_bits() -> None:
    """Brute force over four bits."""
    for mask in SMALL:
        under = [value for value in SMALL if not value & ~mask]
        for bound in range(32):
            assert bits.least_within(bound, mask) == min((value for value in under if value >= bound), default=None)
            assert bits.greatest_within(bound, mask) == max(value for value in under if value <= bound)
        for pair in itertools.combinations(ENDS[::7], 2):
            ranges = bits.normal(pair, mask)
            assert held(ranges, mask) == held(pair, mask)
            assert held(bits.complement(ranges, mask), mask) == set(under) - held(pair, mask)
            assert all(any(high < value < low for value in under) for (_, high), (low, _) in itertools.pairwise(ranges))
            other = bits.normal(ENDS[pair[0][0] :: 23], mask)
            assert held(bits.intersection(ranges, other), mask) == held(ranges, mask) & held(other, mask)
    assert bits.normal(((-3, 1), (14, 99)), 15) == ((0, 1), (14, 15))
    for masks in ((3, 6), (3, 12), (5, 15, 10), (1, 2, 3), (0, 7), (15, 8, 1)):
        for rows in itertools.product(*([(0, mask), (mask, mask), (mask // 3, mask // 2), (1, 2)] for mask in masks)):
            tests = {mask: bits.normal((row,), mask) for mask, row in zip(masks, rows, strict=True)}
            wanted = {v for v in SMALL if all(any(a <= v & m <= b for a, b in r) for m, r in tests.items())}
            found = bits.find_value(tests)
            assert (found is None and not wanted) or found in wanted, (tests, found, wanted)


def check_regions() -> None:
    """`within` and `without` take a region apart exactly, and a region is never empty."""
    lists = [
        [(0, 7, ((1, 5),)), (1, 3, ((0, 1),))],
        [(0, 1, ((1, 1),)), (0, 6, ((2, 4),))],
        [(0, 7, ((1, 3),)), (0, 4, ((4, 4),))],
        [(1, 2, ((2, 2),)), (1, 7, ((0, 1), (6, 7))), (0, 5, ((1, 4),))],
    ]
    points = list(itertools.product(range(8), range(8)))

    def passing(tests: list[tuple[int, int, bits.Ranges]]) -> set[tuple[int, int]]:
        return {p for p in points if all(any(a <= p[i] & m <= b for a, b in r) for i, m, r in tests)}

    def seen(region: Region) -> set[tuple[int, int]]:
        return passing([(index, mask, region.ranges(index, mask)) for index in (0, 1) for mask in range(8)])

    for first, second in itertools.product(lists, lists):
        region = bits.within(Region(), first)
        assert (region is None) == (not passing(first))
        if region is None:
            continue
        inside, outside = bits.within(region, second), list(bits.without(region, second))
        assert seen(region) == passing(first)
        assert (seen(inside) if inside else set()) == passing([*first, *second])
        parts = [seen(part) for part in outside]
        assert all(parts)
        assert sum(map(len, parts)) == len(set().union(*parts))
        assert set().union(*parts) == passing(first) - passing(second)
        assert all(tuple(part.point()[:2]) in seen(part) for part in outside)


def check_united() -> None:
    """What becomes of regions that are joined holds the same points; and what cannot be one test stays apart."""
    every = list(itertools.product(range(8), range(8)))

    def seen(region: Region) -> list[tuple[int, int]]:
        tests = region.tests()
        return [p for p in every if all(any(a <= p[i] & m <= b for a, b in r) for i, m, r in tests)]

    def some(*tests: tuple[int, int, bits.Ranges]) -> Region:
        found = bits.within(Region(), tests)
        assert found is not None
        return found

    low, high, odd = (0, 7, ((0, 2),)), (0, 7, ((3, 7),)), (0, 1, ((1, 1),))
    corners = [some(low, (1, 7, ((0, 3),))), some(high, (1, 7, ((4, 7),)))]
    masks = [some((0, 6, ((0, 0),))), some((0, 7, ((4, 5), (7, 7))))]
    flags = [some((0, 7, ((0, 4),)), odd), some((0, 7, ((5, 6),)), (0, 5, ((4, 4),)))]
    thirds = [some((0, 6, ((2, 6),)), odd), some((0, 6, ((2, 6),)), (0, 1, ((0, 0),)))]
    row = some((1, 4, ((0, 0),)))
    line = [region for part in (low, high) if (region := row.narrowed(*part)) is not None]
    for regions, count in ((corners, 2), (masks, 2), (flags, 2), (thirds, 2), (line, 1), (line[:1], 1)):
        found = bits.united(regions)
        assert len(found) <= count
        assert sorted(p for region in found for p in seen(region)) == sorted(p for region in regions for p in seen(region))
    assert sorted(seen(bits.united(line)[0])) == [(a, b) for a in range(8) for b in range(4)]
    region = Region(effort=bits.Effort(3))
    _raises(bits.Exhausted, lambda: [region.narrowed(0, 7, ((1, 2),)) for _ in range(4)])


def check_wide() -> None:
    """Tests on a part of what a wider test knows, one after the other, against trying out."""
    lists: list[tuple[int, bits.Ranges]] = [
        (15, ((1, 1), (4, 6), (9, 9), (13, 14))),
        (15, ((2, 9),)),
        (12, ((4, 8),)),
        (6, ((2, 4),)),
        (9, ((1, 8),)),
        (5, ((1, 4),)),
        (3, ((0, 0), (2, 3))),
        (8, ((8, 8),)),
        (7, ((3, 5),)),
        (1, ((1, 1),)),
    ]
    for tests in itertools.permutations(lists, 3):
        region = bits.within(Region(), [(0, *test) for test in tests])
        wanted = {v for v in SMALL if all(any(a <= v & m <= b for a, b in r) for m, r in tests)}
        left = {v for v in SMALL if all(any(a <= v & m <= b for a, b in r) for _, m, r in region.tests())} if region else set()
        assert left == wanted, tests


def _points(cases: algebra.Cases) -> set[tuple[int, int]]:
    """Where cases of socket hold, by their own ranges and not by `matches`."""
    at = {"family": 0, "type": 1}
    return {
        point
        for point in itertools.product(range(8), range(8))
        if any(all(any(low <= point[at[c.argument]] & c.mask <= high for low, high in c.ranges) for c in case) for case in cases)
    }


def check_cases() -> None:
    """And, or, not at every point."""
    family, kind, _ = find_arguments("socket", "x86_64") or ()
    every = {(a, b) for a in range(8) for b in range(8)}
    atoms = [
        algebra.one_of(argument, mask, ranges)
        for argument in (family, kind)
        for mask, ranges in ((WORD, ((1, 2), (5, 5))), (6, ((2, 4),)), (1, ((1, 1),)), (WORD, ((3, WORD),)))
    ]
    formulas = [*atoms, *(algebra.some_hold("socket", a, b) for a, b in zip(atoms, atoms[3:], strict=False))]
    formulas += [algebra.all_hold("socket", a, b) for a, b in zip(atoms, atoms[5:], strict=False)]
    for one in formulas:
        assert _points(algebra.none_holds("socket", one)) == every - _points(one)
    for one, other in itertools.product(formulas, formulas[::2]):
        assert _points(algebra.all_hold("socket", one, other)) == _points(one) & _points(other)
        assert _points(algebra.some_hold("socket", one, other)) == _points(one) | _points(other)
    assert algebra.one_of(family, WORD, ((0, WORD),)) == algebra.EVERY
    assert algebra.one_of(family, 6, ((1, 1),)) == algebra.NEVER
    low, high = (algebra.one_of(family, WORD, (ends,)) for ends in ((0, 4), (5, WORD)))
    assert algebra.some_hold("socket", low, high) == algebra.EVERY
    many = tuple(
        (algebra.Condition("family", WORD, ((at, at),)), algebra.Condition("type", WORD, ((at, at),))) for at in range(257)
    )
    assert len(algebra.some_hold("socket", many[:256])) == 256
    _raises(algebra.TooManyCases, lambda: algebra.some_hold("socket", many))


def _raises(kind: type[Exception], run: Callable[[], object]) -> str:
    try:
        run()
    except kind as error:
        return str(error)
    raise AssertionError(f"nothing raised {kind.__name__}")


def _rule(text: str) -> Rule:
    found = section(f"allow: [{text}]").values("allow")[0]
    assert isinstance(found, Rule)
    return found


# ── the text of rules ─────────────────────────────────────────────────────────────────────────────────────────────────

FULL = (1 << 64) - 1
READ = [
    ("{socket: {family: 2}}", ("family", WORD, ((2, 2),))),
    ("{socket: {family: -1}}", ("family", WORD, ((WORD, WORD),))),
    ("{socket: {family: {in: [1, 3]}}}", ("family", WORD, ((1, 1), (3, 3)))),
    ("{socket: {family: {not_in: [1, 3]}}}", ("family", WORD, ((0, 0), (2, 2), (4, WORD)))),
    ("{socket: {family: {not: 2}}}", ("family", WORD, ((0, 1), (3, WORD)))),
    ("{socket: {family: {any: [1, {ge: 9}]}}}", ("family", WORD, ((1, 1), (9, WORD)))),
    ("{socket: {family: {none_of: [1, 4]}}}", ("family", 5, ((0, 0),))),
    ("{socket: {family: {any_of: [1, 4]}}}", ("family", 5, ((1, 5),))),
    ("{socket: {family: {all_of: [1, 4]}}}", ("family", 5, ((5, 5),))),
    ("{socket: {family: {only: [1, 4]}}}", ("family", WORD - 5, ((0, 0),))),
    ("{socket: {family: {masked: [6, 4]}}}", ("family", 6, ((4, 4),))),
    ("{socket: {family: {masked: [7, {only: [4]}]}}}", ("family", 3, ((0, 0),))),
    ("{socket: {family: {range: [2, 4]}}}", ("family", WORD, ((2, 4),))),
    ("{socket: {family: {lt: 4}}}", ("family", WORD, ((0, 3),))),
    ("{socket: {family: {le: 4}}}", ("family", WORD, ((0, 4),))),
    ("{socket: {family: {gt: 4}}}", ("family", WORD, ((5, WORD),))),
    ("{socket: {family: {ge: 4, le: 9, not: 6}}}", ("family", WORD, ((4, 5), (7, 9)))),
    ("{socket: {family: {ge: 4}}}", ("family", WORD, ((4, WORD),))),
    ("{ioctl: {arg: {ge: 4}}}", ("arg", FULL, ((4, FULL),))),
    ("{mknodat: {mode: {ge: 4}}}", ("mode", 0xFFFF, ((4, 0xFFFF),))),
    ("{read: {buf: 0}}", ("buf", FULL, ((0, 0),))),
    ("{socket: {family: AF_INET6}}", ("family", WORD, ((10, 10),))),
    ("{mmap: {prot: 'PROT_READ|PROT_EXEC'}}", ("prot", WORD, ((5, 5),))),
    *(
        (f"{{socket: {{expr: '{text}'}}}}", ("family", mask, ranges))
        for text, mask, ranges in [
            ("family < 4", WORD, ((0, 3),)),
            ("family <= 4", WORD, ((0, 4),)),
            ("family > 4", WORD, ((5, WORD),)),
            ("family >= 4", WORD, ((4, WORD),)),
            ("4 > family", WORD, ((0, 3),)),
            ("4 >= family", WORD, ((0, 4),)),
            ("4 < family", WORD, ((5, WORD),)),
            ("4 <= family", WORD, ((4, WORD),)),
            ("family != 4", WORD, ((0, 3), (5, WORD))),
            ("family", WORD, ((1, WORD),)),
            ("!family", WORD, ((0, 0),)),
            ("family & 6", 6, ((2, 6),)),
            ("family & ~6 == 1", WORD - 6, ((1, 1),)),
            ("family & (6|1) == 4 | 1", 7, ((5, 5),)),
            ("family in {1, ~0}", WORD, ((1, 1), (WORD, WORD))),
            ("family in {1, 3, 4|1}", WORD, ((1, 1), (3, 3), (5, 5))),
            ("family == 1 || family == 3 && family < 4", WORD, ((1, 1), (3, 3))),
            ("!(family == 1 || family == 3)", WORD, ((0, 0), (2, 2), (4, WORD))),
        ]
    ),
]
WRONG = [
    "{socket: {family: 4294967296}}",
    "{mknodat: {mode: 65536}}",
    "{socket: {type: AF_INET}}",
    "{socket: {famly: 1}}",
    "{read: {buf: 1}}",
    "{socket: {family: {masked: [2, 1]}}}",
    "{socket: {family: {masked: [2, {any_of: [1]}]}}}",
    "{socket: {family: {masked: [2, {in: [1, 2]}]}}}",
    "{socket: {family: {masked: [0, 0]}}}",
    "{socket: {family: {range: [3, 2]}}}",
    "{socket: {family: {lt: 0}}}",
    "{socket: {family: {in: []}}}",
    "{socket: {family: {ge: 0}}}",
    "{socket: {family: {ge: 3, le: 2}}}",
    "{socket: {family: 1, expr: 'family == 2'}}",
    "{socket: {expr: 'family == 1 == 1'}}",
    "{socket: {expr: 'family == type'}}",
    "{socket: {expr: 'family & 6|1 == 4'}}",
    "{socket: {expr: '" + "(" * 50 + "'}}",
    "{socket: {expr: '" + "(" * 60 + "family" + ")" * 60 + "'}}",
    "{getpid: {}, action: kill_process}",
    "{getpid: {}, errno: EIO}",
    "{getpid: {}, when: {kernel: ['>=6.1', '<6.1']}}",
    "nonsense",
    "socketcall",
]


def check_text() -> None:
    """Rules are read as they are meant, and wrong ones refused."""
    for text, (name, mask, ranges) in READ:
        # An expression may begin with && or ||; both words stand for one argument, so one condition is left.
        assert [(c.argument, c.mask, c.ranges) for case in _rule(text).cases for c in case] == [(name, mask, ranges)], text
    for text in WRONG:
        _raises(ProfileError, lambda text=text: section(f"allow: [{text}]"))  # type: ignore[misc]
    precedence = _rule("{socket: {expr: 'family == 1 || type == 2 && protocol == 3'}}")
    assert sorted(len(case) for case in precedence.cases) == [1, 2]


def check_relations() -> None:
    """Inclusion and overlap, which say what a deny leaves."""
    low, high, odd = (_rule(f"{{socket: {{family: {text}}}}}") for text in ("{le: 4}", "{ge: 4}", "{masked: [1, 1]}"))
    four, five = (_rule(f"{{socket: {{family: {value}}}}}") for value in (4, 5))
    both = _rule("{socket: {family: 5, type: 1}}")
    assert [overlaps(low, high), overlaps(four, odd), overlaps(five, odd), overlaps(low, five)] == [True, False, True, False]
    assert [are_included(four, [low]), are_included(five, [low]), are_included(five, [low, odd])] == [True, False, True]
    assert are_included(_rule("socket"), [low, _rule("{socket: {family: {gt: 4}}}")])
    assert not are_included(_rule("socket"), [low, _rule("{socket: {family: {gt: 5}}}")])
    assert [are_included(both, [five]), are_included(five, [both])] == [True, False]
    assert not overlaps(_rule("getpid"), _rule("socket"))
    two = _rule("{socket: {expr: 'family == 4 || type == 1'}}")
    assert overlaps(two, _rule("{socket: {family: 5, type: 1}}"))
    assert not overlaps(two, _rule("{socket: {family: 5, type: 2}}"))


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _meant(gold: Gold) -> Iterator[tuple[object, Situation, tuple[int, ...], int, int]]:
    for arch, kernel, capabilities, rows in gold.places:
        there = Situation(arch, kernel, capabilities)
        here = meaning(gold.text, *gold.layers).at(there)
        for number, arguments, wanted in rows:
            yield here, there, (*arguments, *(0,) * (6 - len(arguments))), number, wanted


def check_meaning() -> None:
    """The reference, at calls whose answers a person worked out."""
    for gold in GOLDEN:
        for here, there, arguments, number, wanted in _meant(gold):
            found = decide(here, there.arch, number, arguments)  # type: ignore[arg-type]
            assert found == wanted, (gold.text, there, number, arguments, hex(found), hex(wanted))


MINE = "allow: [getpid, {socket: {family: 1}}, bpf]\ndeny: [getppid, {socket: {family: 1, type: 3}}]\nerrno: {EIO: [ptrace]}"
GRANTED = "allow: [execve, exit_group, getppid, socket, "
OLD, NEW, ARM_NEW = Situation(kernel=(5, 7)), Situation(kernel=(5, 8)), Situation("aarch64", (5, 8))


def _said(text: str, there: Situation, number: int, *arguments: int, **groups: str) -> int:
    here = meaning(text, **groups).at(there)
    return decide(here, there.arch, number, (*arguments, *(0,) * (6 - len(arguments))))


def check_groups() -> None:
    """Groups, groups with changes, groups that are denied, and their conditions."""
    for grant, wanted in (
        ('"@mine"]', {39: ALLOW, 321: ALLOW, 110: EPERM, 101: 0x50005}),
        ('{"@mine": {but: [bpf]}}]', {39: ALLOW, 321: EPERM, 110: EPERM, 101: 0x50005}),
        ('{"@mine": {}, action: log}]', {39: LOG, 321: LOG, 110: EPERM, 101: 0x50005}),
    ):
        assert {number: _said(GRANTED + grant, NEW, number, mine=MINE) for number in wanted} == wanted, grant
        assert [_said(GRANTED + grant, NEW, 41, 1, kind, mine=MINE) >> 16 for kind in (1, 3)][1] == 5
    denied = "allow: [execve, exit_group, getpid, bpf, socket, mount]\ndeny: [{'@mine': {but: [bpf]}, action: trap}]"
    group = "allow: [{getpid: {}, action: log}, bpf, {socket: {family: 1}}]"
    assert [_said(denied, NEW, number, 1, mine=group) for number in (39, 321, 41, 165)] == [0x30000, ALLOW, 0x30000, ALLOW]
    plain = denied.replace(", action: trap", "")
    assert [_said(plain, NEW, number, family, mine=group) for number, family in ((39, 0), (41, 1), (41, 2))] == [
        EPERM,
        EPERM,
        ALLOW,
    ]
    since = 'allow: [execve, exit_group, {"@mine": {}, when: {kernel: ">=5.8", arch: [x86_64, aarch64]}}]'
    for rule, places in (
        ("getpid", {NEW: ALLOW, OLD: EPERM}),
        ("{getpid: {}, when: {arch: aarch64}}", {NEW: EPERM, ARM_NEW: ALLOW}),
        ("{getpid: {}, when: {arch: riscv64}}", {NEW: EPERM, ARM_NEW: EPERM, Situation("riscv64", (5, 8)): EPERM}),
        ("{getpid: {}, when: {kernel: '>=5.4'}}", {NEW: ALLOW, OLD: EPERM}),
        ("{getpid: {}, when: {kernel: '<5.8'}}", {NEW: EPERM, OLD: EPERM}),
    ):
        for there, wanted in places.items():
            number = 39 if there.arch == "x86_64" else 172
            assert _said(since, there, number, mine=f"allow: [{rule}]") == wanted, (rule, there)
    until = since.replace(">=5.8", "<6.1")
    assert _said(until, OLD, 39, mine="allow: [{getpid: {}, when: {kernel: '<5.8'}}]") == ALLOW
    assert _said(until, NEW, 39, mine="allow: [{getpid: {}, when: {kernel: '<5.8'}}]") == EPERM
    circle = {"one": 'allow: [{"@two": {but: [bpf]}}]', "two": 'allow: ["@one", bpf, getpid]'}
    for grant in ('"@one"]', '"@two"]'):
        _raises(ProfileError, lambda grant=grant: meaning(GRANTED + grant, **circle))  # type: ignore[misc]
    assert _said(GRANTED + '"@one"]', NEW, 39, one='allow: ["@two", bpf]', two='allow: ["@one", getpid]') == ALLOW


SOMETIMES = """
allow: [execve, exit_group]
errno:
  ENOSYS: [{bpf: {}, when: {kernel: '<5.8'}}, {"@ring": {}, when: {arch: aarch64}}]
  EACCES: [{bpf: {}, when: {kernel: '>=5.8'}}]
"""


def check_answers() -> None:
    """Answers count where their conditions hold, and two of them only where they never meet."""
    for there, number, errno in ((OLD, 321, 38), (NEW, 321, 13), (NEW, 425, 1), (ARM_NEW, 425, 38), (ARM_NEW, 280, 13)):
        assert _said(SOMETIMES, there, number, ring="allow: [io_uring_setup]") == 0x50000 | errno, (there, number)
    undecided = meaning(SOMETIMES, ring="allow: [io_uring_setup]")
    assert [undecided.errno_of(call) for call in ("bpf", "io_uring_setup")] == [1, 1]
    meeting = (
        f"{MINIMAL}\nerrno: {{EIO: [{{bpf: {{}}, when: {{arch: x86_64}}}}], EACCES: [{{bpf: {{}}, when: {{kernel: '<6.0'}}}}]}}"
    )
    assert "two things" in _raises(ProfileError, lambda: meaning(meeting))
    many = "".join(f", {{socket: {{family: {at}}}}}" for at in range(257))
    assert "too many rules about socket" in _raises(ProfileError, lambda: meaning(f"{MINIMAL[:-1]}{many}]"))


def check_refusals() -> None:
    """What contradicts itself, or could not start anything, is refused; what only looks so is not."""
    both = f"{MINIMAL}\ndeny: [{{bpf: {{cmd: {{le: 5}}}}, errno: EIO%s}}, {{bpf: {{cmd: {{ge: %d}}}}, errno: EACCES%s}}]"
    first, second = ", when: {arch: x86_64}", ", when: {arch: aarch64}"
    shown = _raises(ProfileError, lambda: meaning(both % ("", 5, "")))
    assert "would answer two things" in shown
    assert meaning(both % ("", 6, "")).walls
    assert meaning(both % (first, 5, second)).walls
    _raises(ProfileError, lambda: meaning(both % (first, 5, first)))
    for text in (
        "deny: [ptrace]",
        "allow: []",
        "allow: [exit_group]",
        "allow: [exit_group, {execve: {}, when: {arch: x86_64}}]",
        f"{MINIMAL}\ndeny: [{{execve: {{}}, when: {{arch: x86_64}}}}]",
        f'{MINIMAL[:-1]}, "@nobody"]',
        f"{MINIMAL}\nerrno: {{EIO: [bpf], EACCES: [bpf]}}",
    ):
        _raises(ProfileError, lambda text=text: meaning(text))  # type: ignore[misc]
    for layer in ("allow: []", "allow: [exit_group]", "deny: [execve]"):
        _raises(ProfileError, lambda layer=layer: meaning(MINIMAL, layer))  # type: ignore[misc]
    assert meaning(MINIMAL, "deny: [bpf]").walls


NATIVE = {"x86_64": X86, "aarch64": ARM, "riscv64": RISCV}


def check_filters() -> None:
    """The compiled filters at the same calls; and every compilation is proven."""
    for gold in GOLDEN:
        stacks: dict[object, list[bytes]] = {}
        for here, there, arguments, number, wanted in _meant(gold):
            if there not in stacks:
                stacks[there] = [item.program for item in compile_stack(here, there.arch)]  # type: ignore[arg-type]
                for foreign in (X86, ARM, RISCV, 0x40000003, 0, NATIVE[there.arch] ^ 1, NATIVE[there.arch] + 1):
                    if foreign != NATIVE[there.arch]:
                        assert run_stack(stacks[there], Call(59, (), foreign)).value == KILL
            found = run_stack(stacks[there], Call(number, arguments, NATIVE[there.arch])).value
            assert found == wanted, (gold.text, there, number, arguments, hex(found), hex(wanted))


def check_stacks() -> None:
    """Layers let the loading call pass until the last filter; a listener is asked; order makes no difference."""
    here = meaning("allow: [execve, exit_group, getpid, bpf]", "deny: [seccomp, bpf]", "deny: [getpid]").at(Situation())
    filters = [item.program for item in compile_stack(here, "x86_64")]
    assert [run_filter(program, Call(317)).value for program in filters] == [ALLOW, ALLOW, EPERM]
    assert [run_filter(program, Call(321)).value for program in filters] == [ALLOW, EPERM, ALLOW]
    assert run_stack(filters, Call(39)).value == EPERM
    watched = [item.program for item in compile_stack(here, "x86_64", is_watched=True)]
    assert [run_stack(watched, Call(number)).value for number in (59, 39, 317, 307, 999)] == [
        ALLOW,
        0x7FC00000,
        EPERM,
        EPERM,
        0x7FC00000,
    ]
    assert [run_filter(watched[0], Call(number)).value for number in (317, 307)] == [ALLOW, ALLOW]
    spoken = "allow: [execve, exit_group, {getpid: {}, action: log}]"
    spoken += "\ndeny: [{bpf: {}, action: trap}, {mount: {}, action: kill_process}]"
    asking = [item.program for item in compile_stack(meaning(spoken).at(Situation()), "x86_64", is_watched=True)]
    assert [run_stack(asking, Call(number)).value for number in (39, 321, 165, 59)] == [LOG, 0x30000, 0x7FC00000, ALLOW]
    two = [item.program for item in compile_stack(meaning("allow: [getpid, exit_group, execve]").at(Situation()), "x86_64")]
    assert two == [item.program for item in compile_stack(meaning(MINIMAL).at(Situation()), "x86_64")]
    counted = [
        compile_stack(meaning(f"allow: [execve, exit_group, getpid, socket, futex, mmap, lseek]{said}").at(Situation()), "x86_64")
        for said in ("", "\nfrequency: {futex: 100000, read: 1}")
    ]
    plain, quick = (run_filter(found[0].program, Call(202)).executed for found in counted)
    assert quick < plain


def check_splits() -> None:
    """Rules that fill three filters, and a call that fills one alone."""
    names = {
        "socket": "family",
        "ioctl": "cmd",
        "lseek": "whence",
        "prctl": "option",
        "kill": "sig",
        "fcntl": "cmd",
        "flock": "cmd",
    }
    names |= {"openat": "flags", "madvise": "behavior", "umask": "mask", "getpgid": "pid", "bpf": "cmd"}
    lists = {call: ", ".join(str(20 * step + at) for step in range(500)) for at, call in enumerate(names)}
    rules = ", ".join(f"{{{call}: {{{name}: {{in: [{lists[call]}]}}}}}}" for call, name in names.items())
    found = compile_stack(meaning(f"allow: [execve, exit_group, {rules}]").at(Situation()), "x86_64")
    filters = [item.program for item in found]
    assert len(filters) > 2
    assert all(len(program) <= 4096 * 8 for program in filters)
    for (number, index), at in zip(
        ((41, 0), (16, 1), (8, 2), (157, 0), (62, 1), (72, 1), (73, 1)), itertools.count(), strict=False
    ):
        for value, wanted in ((20 * 499 + at, ALLOW), (20 * 499 + at + 1, EPERM), (20 + at, ALLOW), (20 * 500 + at, EPERM)):
            arguments = tuple(value if place == index else 0 for place in range(6))
            assert run_stack(filters, Call(number, arguments)).value == wanted, (number, value)
    assert run_stack(filters, Call(39)).value == EPERM
    bulky = " || ".join(f"(family & {1 << bit} && type & {1 << bit})" for bit in range(12))
    here = meaning(f"allow: [execve, exit_group, {{socket: {{expr: '{bulky}'}}}}]").at(Situation())
    _raises(ProfileError, lambda: compile_stack(here, "x86_64"))


# ── provers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def check_emitter() -> None:
    """Programs over long distances do what their diagrams say, and the kernel would take them."""
    for count in (3, 127, 128, 200, 256, 600):
        pieces = [
            (0, ALLOW),
            *((2 * at + step + 1, 0x50001 + at % 5 if not step else ALLOW) for at in range(count) for step in (0, 1)),
        ]
        program = emit(Forge().node(NUMBER, pieces))
        for at, step in enumerate(program):
            assert step.code == 6 or at + 1 + (step.k if step.code == 5 else max(step.on_true, step.on_false)) < len(program)
        data = encode(program)
        for number in (*range(2 * count + 2), WORD):
            wanted = 0x50001 + (number // 2) % 5 if number % 2 and number < 2 * count else ALLOW
            assert run_filter(data, Call(number)).value == wanted, (count, number)
    for mask, ranges in ((0x10, ((0, 0),)), (0x14, ((4, 0x14),)), (0x14, ((0x14, 0x14),)), (0xF0, ((0x20, 0x40), (0x80, 0x80)))):
        data = encode(emit(Forge().where((1, 16, mask), ranges, EPERM, ALLOW)))
        for value in range(256):
            wanted = EPERM if any(low <= value & mask <= high for low, high in ranges) else ALLOW
            assert run_filter(data, Call(0, (value | 0xF00 << 32,))).value == wanted, (mask, value)
    assert encode([Instruction(0x1234, 0x56, 0x78, 0x9ABCDEF0)]) == bytes.fromhex("34125678f0debc9a")
    assert decode(bytes.fromhex("34125678f0debc9a06")) == (Instruction(0x1234, 0x56, 0x78, 0x9ABCDEF0),)


RICH = """
allow: [execve, exit_group, getpid, {socket: {family: {in: [1, 2]}, type: {masked: ['0xf', 1]}}},
  {lseek: {offset: {range: ['4294967297', '8589934595']}}}, {ioctl: {cmd: {not: 5}}, action: log}]
"""
OTHERS = [
    ("{in: [1, 2]}", "{in: [1, 3]}", 41),
    ("['0xf', 1]", "['0x7', 1]", 41),
    ("'4294967297'", "'4294967296'", 8),
    ("'8589934595'", "'8589934596'", 8),
    ("{not: 5}", "{not: 6}", 16),
    (", action: log", "", 16),
    ("getpid, ", "", 39),
    ("getpid", "getppid", None),
    ("\nallow", "\ndefault_errno: EIO\nallow", None),
]


def _skeletons() -> Iterator[tuple[int, int, int, int]]:
    """Answers to smaller and larger architectures, to unknown numbers and to those of x32, one of them wrong at most."""
    for at, wrong in itertools.product(range(4), (ALLOW, EPERM, KILL, ENOSYS)):
        answers = [KILL, KILL, ENOSYS, KILL]
        answers[at] = wrong
        yield answers[0], answers[1], answers[2], answers[3]


def _skeleton(here: Settings, below: int, above: int, unknown: int, foreign: int) -> Program:
    """The filter of settings but for these answers."""
    forge = Forge()
    pieces = number_pieces(lambda call: walls_diagram(forge, here, here.walls, call, "x86_64"), "x86_64", unknown, foreign)
    return emit(forge.node(ARCH, [(0, below), (X86, forge.node(NUMBER, pieces)), (X86 + 1, above)]))


def check_proof() -> None:
    """The proof finds filters of other rules, single changed instructions, and what the kernel would choose otherwise."""
    here = meaning(RICH).at(Situation())
    (program,) = [decode(item.program) for item in compile_stack(here, "x86_64")]
    assert proof.find_difference(here, "x86_64", [program]) is None
    for old, new, number in OTHERS:
        other = [decode(item.program) for item in compile_stack(meaning(RICH.replace(old, new, 1)).at(Situation()), "x86_64")]
        witness = proof.find_difference(here, "x86_64", other)
        assert witness is not None, (old, new)
        assert witness.arch == X86
        assert number is None or witness.number == number
        assert run_stack([encode(item) for item in other], Call(witness.number, witness.arguments)).value == witness.found
        assert decide(here, "x86_64", witness.number, witness.arguments) == witness.wanted != witness.found
    _raises(InternalError, lambda: proof.check_proof(here, "x86_64", [(Instruction(6, 0, 0, EPERM),)]))
    wrong = [value for value in _skeletons() if value != (KILL, KILL, ENOSYS, KILL)]
    for below, above, unknown, foreign in wrong:
        assert proof.find_difference(here, "x86_64", [_skeleton(here, below, above, unknown, foreign)]) is not None
    assert proof.find_difference(here, "x86_64", [_skeleton(here, KILL, KILL, ENOSYS, KILL)]) is None
    limit = reference.MAX_PARTS
    reference.MAX_PARTS = 1
    try:
        _raises(reference.TooManyParts, lambda: proof.find_difference(here, "x86_64", [program]))
    finally:
        reference.MAX_PARTS = limit
    steps, proof.MAX_STEPS = proof.MAX_STEPS, 100
    try:
        _raises(reference.TooManyParts, lambda: proof.find_difference(here, "x86_64", [program]))
    finally:
        proof.MAX_STEPS = steps
    right = stack.emit
    stack.emit = lambda diagram, weigh=None: (*right(diagram, weigh)[:-1], Instruction(6, 0, 0, 0x50007))
    try:
        _raises(InternalError, lambda: compile_stack(here, "x86_64"))
    finally:
        stack.emit = right
    for broken in ((0x20, 0, 0, 8), (0x20, 0, 0, 64), (0x28, 0, 0, 0), (0x05, 0, 0, 9), (0x1D, 0, 0, 0)):
        steps = (Instruction(0x20, 0, 0, 0), Instruction(*broken), Instruction(6, 0, 0, ALLOW))
        _raises(proof.UnprovableFilter, lambda steps=steps: list(proof.walk(steps, Region())))  # type: ignore[misc]


def _numbers(code: int, k: int, mask: int = WORD) -> list[tuple[int, bits.Ranges]]:
    steps = [(0x20, 0, 0, 0), (0x54, 0, 0, mask), (code, 0, 1, k), (6, 0, 0, 1), (6, 0, 0, 2)]
    walked = proof.walk(tuple(Instruction(*step) for step in steps), Region())
    return sorted((answer, region.ranges(-1, mask & k if code == 0x45 else mask)) for region, answer in walked)


def check_walk() -> None:
    """Every jump takes numbers apart exactly as the instruction says."""
    assert _numbers(0x15, 7) == [(1, ((7, 7),)), (2, ((0, 6), (8, WORD)))]
    assert _numbers(0x25, 7) == [(1, ((8, WORD),)), (2, ((0, 7),))]
    assert _numbers(0x35, 7) == [(1, ((7, WORD),)), (2, ((0, 6),))]
    assert _numbers(0x45, 6) == [(1, ((2, 6),)), (2, ((0, 0),))]
    assert _numbers(0x25, WORD) == [(2, ((0, WORD),))]
    assert _numbers(0x15, 0x20, 0xF0) == [(1, ((0x20, 0x20),)), (2, ((0, 0x10), (0x30, 0xF0)))]
    twice = ((0x20, 0, 0, 0), (0x54, 0, 0, 0xF0), (0x54, 0, 0, 0x3F), (0x15, 0, 1, 0x31), (6, 0, 0, 1), (6, 0, 0, 2))
    assert [answer for _, answer in proof.walk(tuple(Instruction(*step) for step in twice), Region())] == [2]
    assert _numbers(0x15, 0x21, 0xF0) == [(2, ((0, 0xF0),))]
    upper = tuple(Instruction(*step) for step in [(0x20, 0, 0, 36), (0x15, 0, 1, 5), (6, 0, 0, 1), (6, 0, 0, 2)])
    found = {answer: region for region, answer in proof.walk(upper, Region())}
    assert found[1].witness(2) >> 32 == 5
    assert found[2].witness(2) >> 32 != 5
    meeting = [(0x20, 0, 0, 0), (0x15, 1, 0, 5), (0x20, 0, 0, 4), (0x15, 0, 1, 7), (6, 0, 0, 1), (6, 0, 0, 2)]
    ways = [(answer, sorted(region.tests())) for region, answer in proof.walk(tuple(map(Instruction._make, meeting)), Region())]
    assert sorted(ways) == [
        (1, [(-2, WORD, ((7, 7),)), (-1, WORD, ((0, 4), (6, WORD)))]),
        (2, [(-2, WORD, ((0, 6), (8, WORD))), (-1, WORD, ((0, 4), (6, WORD)))]),
        (2, [(-1, WORD, ((5, 5),))]),
    ]
    both = [(0x20, 0, 0, 16), (0x35, 0, 1, 9), (0x15, 0, 0, 10), (6, 0, 0, 1)]
    assert [region.ranges(0, WORD) for region, _ in proof.walk(tuple(map(Instruction._make, both)), Region())] == [((0, WORD),)]
    chosen = [
        next(answer for _, answer in proof.walk_stack([(Instruction(6, 0, 0, value),) for value in stack], Region()))
        for stack in ((EPERM, ENOSYS), (ENOSYS, EPERM), (ALLOW, EPERM), (KILL, 0), (0, KILL), (LOG, ALLOW), ())
    ]
    assert chosen == [ENOSYS, EPERM, EPERM, KILL, KILL, LOG, ALLOW]


def check_simulator() -> None:
    """The machine, instruction by instruction."""

    def value(*steps: tuple[int, int, int, int], arguments: tuple[int, ...] = ()) -> int:
        return run_filter(b"".join(struct.pack("<HBBI", *step) for step in steps), Call(5, arguments)).value

    for code, k, taken in (
        (0x15, 5, 1),
        (0x15, 6, 2),
        (0x25, 5, 2),
        (0x25, 4, 1),
        (0x35, 5, 1),
        (0x35, 6, 2),
        (0x45, 4, 1),
        (0x45, 2, 2),
    ):
        assert value((0x20, 0, 0, 0), (code, 0, 1, k), (6, 0, 0, 1), (6, 0, 0, 2)) == taken
    assert value((0x20, 0, 0, 24), (0x16, 0, 0, 0), arguments=(1, 0x1_2345_6789)) == 0x23456789
    assert value((0x20, 0, 0, 28), (0x16, 0, 0, 0), arguments=(1, 0x1_2345_6789)) == 1
    assert value((0x20, 0, 0, 4), (0x16, 0, 0, 0)) == X86
    assert value((0x20, 0, 0, 0), (0x54, 0, 0, 6), (0x16, 0, 0, 0)) == 4
    assert value((0x05, 0, 0, 1), (6, 0, 0, 1), (6, 0, 0, 2)) == 2
    returns = [struct.pack("<HBBI", 6, 0, 0, answer) for answer in (EPERM, ENOSYS, ALLOW, KILL, 0)]
    assert run_stack(returns[:2], Call(0)).value == ENOSYS
    assert run_stack(returns[1::-1], Call(0)).value == EPERM
    assert run_stack(returns, Call(0)).value == KILL
    assert run_stack([returns[4], returns[2]], Call(0)).value == 0
    for wrong in (b"", b"\0" * 7, returns[2] * 4097, struct.pack("<HBBI", 0x20, 0, 0, 64)):
        _raises(BadFilter, lambda wrong=wrong: run_filter(wrong, Call(0)))  # type: ignore[misc]


# ── the second backend ────────────────────────────────────────────────────────────────────────────────────────────────


def check_lengths() -> None:
    """What the kernel counts: net/core/filter.c, and 4 for each filter that is not the newest."""
    steps = [
        (0x20, 0, 0, 4),
        (0x15, 0, 4, 0xC000003E),
        (0x45, 0, 3, 6),
        (0x25, 1, 2, 6),
        (0x35, 0, 1, 6),
        (6, 0, 0, 0),
        (6, 0, 0, 1),
    ]
    counted = tuple(Instruction(*step) for step in steps)
    assert loaded_length(counted) == 3 + 1 + 2 + 2 + 2 + 1 + 2 + 2
    assert [stacked_length([counted] * count) for count in (0, 1, 3)] == [0, 15, 53]
    here = meaning(MINIMAL).at(Situation())
    limit = bpf.MAX_STACKED_INSTRUCTIONS
    for is_watched in (False, True):
        made = compile_stack(here, "x86_64", is_watched=is_watched)
        try:
            bpf.MAX_STACKED_INSTRUCTIONS = stacked_length(decode(item.program) for item in made)  # type: ignore[misc]
            assert compile_stack(here, "x86_64", is_watched=is_watched) == made
            bpf.MAX_STACKED_INSTRUCTIONS -= 1  # type: ignore[misc]
            assert "together" in _raises(ProfileError, lambda: compile_stack(here, "x86_64", is_watched=is_watched))  # noqa: B023
        finally:
            bpf.MAX_STACKED_INSTRUCTIONS = limit  # type: ignore[misc]


def check_closing() -> None:
    """What we write beside libseccomp: numbers without a name, answers, the loading call; and how ranges become comparisons."""
    text = "allow: [execve, exit_group, getpid, {socket: {family: {in: [1, 2]}}}, bpf, {prctl: {option: 3}}]"
    text += "\ndeny: [{socket: {family: 2, type: {masked: [15, 3]}}}, {bpf: {cmd: 5}}]"
    text += "\nerrno: {EIO: [socket, ptrace], EACCES: [bpf]}"
    found = meaning(text, "deny: [{bpf: {cmd: 7}}]").at(Situation())
    for arch, native in NATIVE.items():
        data = closing_filter(meaning(text, "deny: [{bpf: {cmd: 7}}]").at(Situation(arch)), arch)
        number = NUMBERS[arch]
        rows = [
            ("execve", (), ALLOW),
            ("socket", (1,), ALLOW),
            ("socket", (3,), 0x50005),
            ("socket", (2, 3), 0x50005),
            ("socket", (2, 0x803), 0x50005),
            ("socket", (2 | 7 << 32, 2), ALLOW),
            ("ptrace", (), 0x50005),
            ("bpf", (4,), ALLOW),
            ("bpf", (5,), 0x5000D),
            ("bpf", (7,), 0x5000D),
            ("mount", (), ALLOW),
            ("clone3", (), ENOSYS),
            ("seccomp", (1,), EPERM),
        ]
        for call, arguments, wanted in rows:
            assert run_filter(data, Call(number[call], arguments, native)).value == wanted, (arch, call, arguments)
        for unnamed in (472, 1000, 0x3FFFFFFF, WORD, *((600,) if arch == "x86_64" else (0x40000001, 0x80000000))):
            assert run_filter(data, Call(unnamed, (), native)).value == ENOSYS, (arch, unnamed)
        if arch == "x86_64":
            for x32 in (0x40000000, 0x40000001, 0x80000000, WORD - 1):
                assert run_filter(data, Call(x32, (), native)).value == KILL
        assert run_filter(data, Call(59, (), 0x40000003)).value == KILL
        assert run_filter(data, Call(59, (), native + 1)).value == KILL
        listed = set(NUMBERS[arch].values())
        ranges = tuple(unnamed_ranges(arch))
        assert all(any(low <= at <= high for low, high in ranges) is (at not in listed) for at in range(600))
    own = found.walls[0]
    assert [rule.call for rule in granted_rules(own)] == ["bpf", "execve", "exit_group", "getpid", "prctl", "socket"]
    assert [rule.call for rule in denied_rules(own)] == ["bpf", "socket"]
    gone = meaning(f"{MINIMAL[:-1]}, ptrace]\ndeny: [ptrace]").at(Situation()).walls[0]
    assert [rule.call for rule in granted_rules(gone)] == ["execve", "exit_group", "getpid"]
    twice = _rule("{socket: {expr: 'family & 1 == 1 && family != 3'}}")
    _raises(ProfileError, lambda: alternatives(twice, "x86_64"))
    for mask in SMALL:
        for pair in itertools.combinations(ENDS[::11], 2):
            ranges = bits.normal(pair, mask)
            tests = comparisons((0, mask, ranges))
            for value in SMALL:
                assert sum(value & test.mask == test.value for test in tests) == (value & mask in held(ranges, mask))
    rows_of = alternatives(_rule("{socket: {family: {in: [1, 4]}, type: {in: [8, 11]}}}"), "x86_64")
    assert len(rows_of) == 4
    assert all(len(row) == 2 and row[0].index == 0 and row[1].index == 1 for row in rows_of)


# ── random policies ───────────────────────────────────────────────────────────────────────────────────────────────────

_FIXED = settings(
    max_examples=40,
    deadline=None,
    database=None,
    derandomize=True,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


def check_drawn() -> None:
    """A few policies, the same each time, against the third opinion."""

    @_FIXED
    @given(policies(most_layers=2, most_rules=4))
    def agree(policy: Policy) -> None:
        check_agreement(policy, 24)

    agree()


CHECKS: dict[str, Callable[[], None]] = {
    "bpf": check_bpf,
    "tables": check_tables,
    "simulator": check_simulator,
    "bits": check_bits,
    "regions": check_regions,
    "united": check_united,
    "wide": check_wide,
    "cases": check_cases,
    "text": check_text,
    "relations": check_relations,
    "meaning": check_meaning,
    "groups": check_groups,
    "answers": check_answers,
    "refusals": check_refusals,
    "walk": check_walk,
    "emitter": check_emitter,
    "filters": check_filters,
    "proof": check_proof,
    "stacks": check_stacks,
    "lengths": check_lengths,
    "closing": check_closing,
    "drawn": check_drawn,
    "splits": check_splits,
}
