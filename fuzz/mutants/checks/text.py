"""The text of rules: how it is read, what is refused, and how rules lie to each other."""

from __future__ import annotations

from fuzz.mutants.checks.ground import WORD, raises, rule
from sandboxer.controls.seccomp.rules import are_included, overlaps
from sandboxer.errors import ProfileError
from tests.controls.seccomp.filters import section

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
        assert [(c.argument, c.mask, c.ranges) for case in rule(text).cases for c in case] == [(name, mask, ranges)], text
    for text in WRONG:
        raises(ProfileError, lambda text=text: section(f"allow: [{text}]"))  # type: ignore[misc]
    precedence = rule("{socket: {expr: 'family == 1 || type == 2 && protocol == 3'}}")
    assert sorted(len(case) for case in precedence.cases) == [1, 2]


def check_relations() -> None:
    """Inclusion and overlap, which say what a deny leaves."""
    low, high, odd = (rule(f"{{socket: {{family: {text}}}}}") for text in ("{le: 4}", "{ge: 4}", "{masked: [1, 1]}"))
    four, five = (rule(f"{{socket: {{family: {value}}}}}") for value in (4, 5))
    both = rule("{socket: {family: 5, type: 1}}")
    assert [overlaps(low, high), overlaps(four, odd), overlaps(five, odd), overlaps(low, five)] == [True, False, True, False]
    assert [are_included(four, [low]), are_included(five, [low]), are_included(five, [low, odd])] == [True, False, True]
    assert are_included(rule("socket"), [low, rule("{socket: {family: {gt: 4}}}")])
    assert not are_included(rule("socket"), [low, rule("{socket: {family: {gt: 5}}}")])
    assert [are_included(both, [five]), are_included(five, [both])] == [True, False]
    assert not overlaps(rule("getpid"), rule("socket"))
    two = rule("{socket: {expr: 'family == 4 || type == 1'}}")
    assert overlaps(two, rule("{socket: {family: 5, type: 1}}"))
    assert not overlaps(two, rule("{socket: {family: 5, type: 2}}"))
