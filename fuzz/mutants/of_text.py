"""Mistakes in how the text of rules is read."""

from __future__ import annotations

from fuzz.mutants.row import Row

_VALUES = "controls/seccomp/values.py"
_CONDITIONS = "controls/seccomp/conditions.py"
_EXPRESSION = "controls/seccomp/expression.py"
_GRAMMAR = "controls/seccomp/grammar.py"

TEXT: tuple[Row, ...] = (
    # ── values ──
    Row("values: a value may have more bits", _VALUES, "<= number <= argument.mask:", "<= number <= argument.mask << 1:"),
    Row("values: negative numbers are zero", _VALUES, "return number & argument.mask", "return max(number, 0) & argument.mask"),
    Row("values: flags are joined with and", _VALUES, "value |= find_word", "value = value & 0 | find_word"),
    Row(
        "values: constants of other arguments are taken",
        _VALUES,
        "if kinds and not word.startswith(kinds):",
        "if kinds and word.startswith('Z'):",
    ),
    Row(
        "values: pointers may be compared",
        _VALUES,
        "if argument.is_pointer and not",
        "if argument.is_pointer and mask == 0 and not",
    ),
    # ── conditions ──
    Row(
        "conditions: not_in is in",
        _CONDITIONS,
        "return algebra.none_holds(self.call, self.is_in(node, mask))",
        "return self.is_in(node, mask)",
    ),
    Row(
        "conditions: not is nothing",
        _CONDITIONS,
        "return algebra.none_holds(self.call, self.condition(node, mask))",
        "return self.condition(node, mask)",
    ),
    Row(
        "conditions: any needs all",
        _CONDITIONS,
        "return algebra.some_hold(self.call, *(self.condition",
        "return algebra.all_hold(self.call, *(self.condition",
    ),
    Row(
        "conditions: none_of is not all_of",
        _CONDITIONS,
        "return self.one_of(node, self.flags(node, mask), ((0, 0),))",
        "return self.one_of(node, flags := self.flags(node, mask), ((0, flags - 1),))",
    ),
    Row(
        "conditions: any_of is all_of",
        _CONDITIONS,
        "return self.one_of(node, flags, ((1, flags),))",
        "return self.one_of(node, flags, ((flags, flags),))",
    ),
    Row(
        "conditions: all_of is any_of",
        _CONDITIONS,
        "return self.one_of(node, flags, ((flags, flags),))",
        "return self.one_of(node, flags, ((1, flags),))",
    ),
    Row(
        "conditions: only is none_of",
        _CONDITIONS,
        "others = (mask or self.argument.mask) & ~self.flags(node, mask)",
        "others = (mask or self.argument.mask) & self.flags(node, mask)",
    ),
    Row(
        "conditions: only within a mask is of all bits",
        _CONDITIONS,
        "others = (mask or self.argument.mask) & ~",
        "others = self.argument.mask & ~",
    ),
    Row(
        "conditions: the mask is not handed on",
        _CONDITIONS,
        "return self.condition(node.items[1], inner)",
        "return self.condition(node.items[1], 0)",
    ),
    Row(
        "conditions: a value outside of its mask is taken",
        _CONDITIONS,
        "if low == high and low & ~seen:",
        "if low == high and low & ~seen & seen:",
    ),
    Row(
        "conditions: flags outside of a mask are taken",
        _CONDITIONS,
        "if mask and value & ~mask:",
        "if mask and value & ~mask & mask:",
    ),
    Row(
        "conditions: lt is le",
        _CONDITIONS,
        "return self.bounded(node, mask, 0, self.value(node) - 1)",
        "return self.bounded(node, mask, 0, self.value(node))",
    ),
    Row(
        "conditions: le is lt",
        _CONDITIONS,
        "return self.bounded(node, mask, 0, self.value(node))",
        "return self.bounded(node, mask, 0, self.value(node) - 1)",
    ),
    Row(
        "conditions: gt is ge",
        _CONDITIONS,
        "return self.bounded(node, mask, self.value(node) + 1, self.argument.mask)",
        "return self.bounded(node, mask, self.value(node), self.argument.mask)",
    ),
    Row(
        "conditions: ge is gt",
        _CONDITIONS,
        "return self.bounded(node, mask, self.value(node), self.argument.mask)",
        "return self.bounded(node, mask, self.value(node) + 1, self.argument.mask)",
    ),
    Row(
        "conditions: a range leaves its end out",
        _CONDITIONS,
        "return self.one_of(node, mask, ((low, high),))\n\n    def is_less",
        "return self.one_of(node, mask, ((low, high - 1),))\n\n    def is_less",
    ),
    Row(
        "conditions: orders are about the lowest 32 bits",
        _CONDITIONS,
        "return self.bounded(node, mask, self.value(node), self.argument.mask)",
        "return self.bounded(node, mask, self.value(node), self.argument.mask & 0xFFFFFFFF)",
    ),
    Row(
        "conditions: a rule that never applies is taken",
        _CONDITIONS,
        "    if not found:\n        fail",
        "    if found is None:\n        fail",
    ),
    Row(
        "conditions: one argument of several is enough",
        _CONDITIONS,
        "found = algebra.all_hold(call, *parts)",
        "found = algebra.some_hold(call, *parts)",
    ),
    Row(
        "conditions: one test of several is enough",
        _CONDITIONS,
        "        return algebra.all_hold(self.call, *parts)",
        "        return algebra.some_hold(self.call, *parts)",
    ),
    # ── expressions ──
    Row("expression: or binds stronger than and", _EXPRESSION, '{"||": 1, "&&": 2,', '{"||": 2, "&&": 1,'),
    Row("expression: and and or bind alike", _EXPRESSION, '{"||": 1, "&&": 2,', '{"||": 1, "&&": 1,'),
    Row("expression: masks bind weaker than comparisons", _EXPRESSION, '"|": 4, "&": 5}', '"|": 2, "&": 2}'),
    Row(
        "expression: the right side ends too soon",
        _EXPRESSION,
        "self.operation(strength), at, begin)",
        "self.operation(5), at, begin)",
    ),
    Row(
        "expression: a comparison is not flipped",
        _EXPRESSION,
        "left, right, sign = right, left, _FLIPPED[sign]",
        "left, right = right, left",
    ),
    Row("expression: less is at most", _EXPRESSION, '"<": lambda: ((0, value - 1),),', '"<": lambda: ((0, value),),'),
    Row("expression: greater is at least", _EXPRESSION, '">": lambda: ((value + 1, last),),', '">": lambda: ((value, last),),'),
    Row("expression: at least is greater", _EXPRESSION, '">=": lambda: ((value, last),),', '">=": lambda: ((value + 1, last),),'),
    Row(
        "expression: not equal is less",
        _EXPRESSION,
        '"!=": lambda: ((0, value - 1), (value + 1, last)),',
        '"!=": lambda: ((0, value - 1),),',
    ),
    Row(
        "expression: an argument alone is zero",
        _EXPRESSION,
        "return self.one_of(value, ((1, argument.mask),), at).cases",
        "return self.one_of(value, ((0, 0),), at).cases",
    ),
    Row(
        "expression: and is or",
        _EXPRESSION,
        "algebra.all_hold(self.call, self.truth(left, begin), self.truth(right, at))",
        "algebra.some_hold(self.call, self.truth(left, begin), self.truth(right, at))",
    ),
    Row(
        "expression: ! is nothing",
        _EXPRESSION,
        "found = _Truth(algebra.none_holds(self.call, self.truth(self.term(), at)))",
        "found = _Truth(self.truth(self.term(), at))",
    ),
    Row(
        "expression: ~ is minus",
        _EXPRESSION,
        "found = _Number(~inner.value, inner.words)",
        "found = _Number(-inner.value, inner.words)",
    ),
    Row(
        "expression: constants are joined with and",
        _EXPRESSION,
        "return _Number(left.value | right.value,",
        "return _Number(left.value & right.value,",
    ),
    Row(
        "expression: the mask of an argument is forgotten",
        _EXPRESSION,
        "return _Seen(left.argument, mask)",
        "return _Seen(left.argument, left.mask)",
    ),
    Row(
        "expression: sets hold their first value",
        _EXPRESSION,
        "tuple((value, value) for value in sorted(set(values))), at)",
        "tuple((value, value) for value in sorted(set(values))[:1]), at)",
    ),
    Row(
        "expression: members of a set are no bits",
        _EXPRESSION,
        "values.append(self.value(item, left.argument))",
        "values.append(item.value)",
    ),
    Row("expression: nothing is too deep", _EXPRESSION, "if self.depth > _MAX_DEPTH:", "if self.depth > _MAX_DEPTH * 999:"),
    # ── grammar ──
    Row(
        "grammar: log is allow",
        _GRAMMAR,
        '{"allow": NO_ANSWER, "log": bpf.RET_LOG}',
        '{"allow": NO_ANSWER, "log": bpf.RET_ALLOW}',
    ),
    Row(
        "grammar: kill_process ends a thread",
        _GRAMMAR,
        '"kill_process": bpf.RET_KILL_PROCESS,',
        '"kill_process": bpf.RET_KILL_THREAD,',
    ),
    Row("grammar: trap is notify", _GRAMMAR, '"trap": bpf.RET_TRAP,', '"trap": bpf.RET_USER_NOTIF,'),
    Row(
        "grammar: grants may have any action",
        _GRAMMAR,
        "actions = _ALLOWED if is_grant else _DENIED",
        "actions = {**_ALLOWED, **_DENIED}",
    ),
    Row(
        "grammar: the errno of a rule is dropped", _GRAMMAR, "answer = bpf.RET_ERRNO | parse_errno(number)", "parse_errno(number)"
    ),
    Row("grammar: when is dropped", _GRAMMAR, "_parse_when(when) if when is not None else ALWAYS)", "ALWAYS)"),
    Row("grammar: from and below are swapped", _GRAMMAR, 'if found[1] == ">=":', 'if found[1] == "<":'),
    Row(
        "grammar: held and unheld are swapped",
        _GRAMMAR,
        'when["held" if key.text == "capability" else "unheld"] = mask',
        'when["unheld" if key.text == "capability" else "held"] = mask',
    ),
    Row(
        "grammar: capabilities are counted from one",
        _GRAMMAR,
        "mask |= 1 << _parse_capability(item)",
        "mask |= 2 << _parse_capability(item)",
    ),
    Row(
        "grammar: conditions of a rule with options are dropped",
        _GRAMMAR,
        "return Rule(call, parse_conditions(call, value), options.answer, options.when)",
        "return Rule(call, answer=options.answer, when=options.when)",
    ),
    Row(
        "grammar: what a group leaves out is dropped",
        _GRAMMAR,
        "_parse_exceptions(key, value), options.answer, options.when)",
        "_parse_exceptions(key, value)[:0], options.answer, options.when)",
    ),
)
