"""Mistakes in what writes filters."""

from __future__ import annotations

from fuzz.mutants.row import Row

_DIAGRAM = "controls/seccomp/compiler/diagram.py"
_EMIT = "controls/seccomp/compiler/emit.py"
_PROGRAM = "controls/seccomp/compiler/program.py"

COMPILER: tuple[Row, ...] = (
    # ── diagram ──
    Row(
        "diagram: neighbours are taken for one",
        _DIAGRAM,
        "if children and _same(children[-1], child):",
        "if children and isinstance(child, int):",
    ),
    Row(
        "diagram: an empty range hides the next one",
        _DIAGRAM,
        "                lows.pop()\n                children.pop()\n",
        "                continue\n",
    ),
    Row("diagram: nodes are equal whatever they look at", _DIAGRAM, "key = (view, tuple(lows), ", "key = (ARCH, tuple(lows), "),
    Row("diagram: nodes are equal whatever their ranges", _DIAGRAM, "key = (view, tuple(lows), ", "key = (view, len(lows), "),
    Row(
        "diagram: an answer and a node are told apart by nothing",
        _DIAGRAM,
        "return one if isinstance(one, int) else -id(one)",
        "return 1 if isinstance(one, int) else -id(one)",
    ),
    Row(
        "diagram: a range ends one too late", _DIAGRAM, "pieces.append((high + 1, outside))", "pieces.append((high + 2, outside))"
    ),
    Row("diagram: a range ends one too early", _DIAGRAM, "pieces.append((high + 1, outside))", "pieces.append((high, outside))"),
    Row("diagram: where is inside out", _DIAGRAM, "pieces: list[Piece] = [(0, outside)]", "pieces: list[Piece] = [(0, inside)]"),
    Row(
        "diagram: a test that fails answers",
        _DIAGRAM,
        "lambda one, other: answer if one == 1",
        "lambda one, other: answer if one == 0",
    ),
    Row(
        "diagram: over forgets what is below",
        _DIAGRAM,
        "None if isinstance(one, Node) else other)",
        "None if isinstance(one, Node) else answer)",
    ),
    Row("diagram: what was joined once is the same with another", _DIAGRAM, "key = (_key(a), _key(b))", "key = (_key(a), 0)"),
    Row("diagram: what was joined once is the same under another", _DIAGRAM, "key = (_key(a), _key(b))", "key = (0, _key(b))"),
    Row(
        "diagram: nodes side by side lose a cut",
        _DIAGRAM,
        "low = min(after_one, after_other)",
        "low = max(after_one, after_other)",
    ),
    Row("diagram: one side runs ahead", _DIAGRAM, "j += after_other == low", "j += 1"),
    Row("diagram: halves are mixed up", _DIAGRAM, "8 * index + 4 * is_upper, mask)", "8 * index + 4 * (not is_upper), mask)"),
    Row("diagram: arguments lie closer", _DIAGRAM, "bpf.DATA_ARGS + 8 * index + 4", "bpf.DATA_ARGS + 4 * index + 4"),
    Row(
        "diagram: halves are looked at in two orders",
        _DIAGRAM,
        "return (index * 2 + (not is_upper), bpf",
        "return (index * 2 + (not is_upper) * (mask % 7), bpf",
    ),
    Row("diagram: the upper half is not looked at", _DIAGRAM, "    if not upper:\n", "    if True:\n"),
    Row(
        "diagram: the upper end's half is not cut off",
        _DIAGRAM,
        "cuts |= {low >> 32, (low >> 32) + 1, high >> 32, (high >> 32) + 1}",
        "cuts |= {low >> 32, (low >> 32) + 1, (high >> 32) + 1}",
    ),
    Row(
        "diagram: the lower end's half is not cut off",
        _DIAGRAM,
        "cuts |= {low >> 32, (low >> 32) + 1, high >> 32, (high >> 32) + 1}",
        "cuts |= {low >> 32, high >> 32, (high >> 32) + 1}",
    ),
    Row(
        "diagram: the lower half's low end is dropped",
        _DIAGRAM,
        "within = tuple((max(low, first) & WORD,",
        "within = tuple((first & WORD,",
    ),
    Row("diagram: the lower half's high end is dropped", _DIAGRAM, "min(high, last) & WORD) for", "last & WORD) for"),
    Row(
        "diagram: a part of the lower half is taken for all",
        _DIAGRAM,
        "is_all = bool(within) and within[0][0] == 0 and within[-1][1] == lower and len(within) == 1",
        "is_all = bool(within) and within[0][0] == 0 and len(within) == 1",
    ),
    Row("diagram: conditions are alternatives", _DIAGRAM, "lambda a, b: a & b)", "lambda a, b: a | b)"),
    Row(
        "diagram: the strictest rule is laid on first",
        _DIAGRAM,
        "in groupby(reversed(in_order(wall, call, refused)), key",
        "in groupby(in_order(wall, call, refused), key",
    ),
    Row(
        "diagram: only the first case counts",
        _DIAGRAM,
        "for rule, _ in rules for case in rule.cases]",
        "for rule, _ in rules for case in rule.cases[:1]]",
    ),
    Row(
        "diagram: of cases in pairs the odd one is lost",
        _DIAGRAM,
        "in zip_longest(tests[::2], tests[1::2], fillvalue=0)]",
        "in zip(tests[::2], tests[1::2])]",
    ),
    Row(
        "diagram: of cases in pairs both have to hold", _DIAGRAM, "forge.joined(one, other, or_)", "forge.joined(one, other, min)"
    ),
    Row(
        "diagram: rules of several answers are one",
        _DIAGRAM,
        "groupby(reversed(in_order(wall, call, refused)), key=itemgetter(1))",
        "[(refused, in_order(wall, call, refused)[::-1])]",
    ),
    Row(
        "diagram: numbers in a gap are the next call's",
        _DIAGRAM,
        "        if number > following:\n            yield following, unknown\n",
        "        if number > following:\n            yield following, answers(names[number])\n",
    ),
    Row("diagram: one number is missed behind a call", _DIAGRAM, "following = number + 1", "following = number + 2"),
    Row("diagram: x32 is unknown and not foreign", _DIAGRAM, "yield bpf.X32_BIT, foreign", "yield bpf.X32_BIT, unknown"),
    Row("diagram: -1 is foreign", _DIAGRAM, "yield bpf.NO_NUMBER, unknown", "yield bpf.NO_NUMBER, foreign"),
    Row(
        "diagram: x32 is looked for everywhere",
        _DIAGRAM,
        '    if arch == "x86_64":\n        yield',
        '    if arch != "nowhere":\n        yield',
    ),
    Row(
        "diagram: smaller architectures pass",
        _DIAGRAM,
        "[(0, FOREIGN), (native, numbers), (native + 1, FOREIGN)]",
        "[(0, numbers), (native + 1, FOREIGN)]",
    ),
    Row(
        "diagram: larger architectures pass",
        _DIAGRAM,
        "(native, numbers), (native + 1, FOREIGN)]",
        "(native, numbers), (native + 2, FOREIGN)]",
    ),
    Row(
        "diagram: layers never decide about the loading call",
        _DIAGRAM,
        "*(also if call in LATE_CALLS else ())",
        "*(() if call in LATE_CALLS else ())",
    ),
    Row("diagram: layers decide about every call in the last filter", _DIAGRAM, "*(also if call in LATE_CALLS else ())", "*also"),
    Row("diagram: nothing is let through", _DIAGRAM, "if call in let_through:", "if call in ():"),
    Row("diagram: the laxest of several walls counts", _DIAGRAM, "lambda a, b: strictest((a, b)))", "lambda a, b: max((a, b)))"),
    Row("diagram: the last wall alone counts", _DIAGRAM, "lambda a, b: strictest((a, b)))", "lambda a, b: b)"),
    Row("diagram: another call loads filters", _DIAGRAM, 'LATE_CALLS = ("seccomp",)', 'LATE_CALLS = ("prctl",)'),
    # ── emitter ──
    Row("emit: jumps may be too long for a byte", _EMIT, "MAX_JUMP = 255", "MAX_JUMP = 258"),
    Row(
        "emit: a target is near from here only",
        _EMIT,
        "if len(self.code) + 1 - at <= MAX_JUMP:",
        "if len(self.code) - 2 - at <= MAX_JUMP:",
    ),
    Row(
        "emit: a stepping stone answers something else",
        _EMIT,
        "stone = Instruction(bpf.RET_K, 0, 0, target)",
        "stone = Instruction(bpf.RET_K, 0, 0, target | 1)",
    ),
    Row(
        "emit: a long jump is one too short",
        _EMIT,
        "stone = Instruction(bpf.JMP_JA, 0, 0, len(self.code) - at - 1)",
        "stone = Instruction(bpf.JMP_JA, 0, 0, len(self.code) - at - 2)",
    ),
    Row(
        "emit: a long jump is one too long",
        _EMIT,
        "stone = Instruction(bpf.JMP_JA, 0, 0, len(self.code) - at - 1)",
        "stone = Instruction(bpf.JMP_JA, 0, 0, len(self.code) - at)",
    ),
    Row(
        "emit: a stone is remembered one off",
        _EMIT,
        "        self.code.append(stone)\n        self.places[key] = len(self.code) - 1",
        "        self.code.append(stone)\n        self.places[key] = len(self.code) - 2",
    ),
    Row(
        "emit: a jump is not corrected for what is written after its target",
        _EMIT,
        "        self.reach(on_false)\n        there = self.reach(on_true)\n        here = self.reach(on_false)\n"
        "        there = self.reach(on_true)\n",
        "        there = self.reach(on_true)\n        here = self.reach(on_false)\n",
    ),
    Row(
        "emit: both ways of a jump are swapped",
        _EMIT,
        "Instruction(code, at - there - 1, at - here - 1, k)",
        "Instruction(code, at - here - 1, at - there - 1, k)",
    ),
    Row("emit: the true way is one off", _EMIT, "Instruction(code, at - there - 1,", "Instruction(code, at - there,"),
    Row("emit: the false way is one off", _EMIT, "at - here - 1, k)", "max(at - here - 2, 0), k)"),
    Row(
        "emit: a split is greater and not at least",
        _EMIT,
        "self.jump(bpf.JMP_JGE_K, target.value, target.high, target.low)",
        "self.jump(bpf.JMP_JGT_K, target.value, target.high, target.low)",
    ),
    Row(
        "emit: a split is equal",
        _EMIT,
        "self.jump(bpf.JMP_JGE_K, target.value, target.high, target.low)",
        "self.jump(bpf.JMP_JEQ_K, target.value, target.high, target.low)",
    ),
    Row(
        "emit: a split goes the wrong way",
        _EMIT,
        "target.value, target.high, target.low)",
        "target.value, target.low, target.high)",
    ),
    Row(
        "emit: a single value is a bound",
        _EMIT,
        "self.jump(bpf.JMP_JEQ_K, target.value, target.then, target.rest)",
        "self.jump(bpf.JMP_JGE_K, target.value, target.then, target.rest)",
    ),
    Row(
        "emit: the mask is forgotten",
        _EMIT,
        "            if mask != WORD:\n                self.code",
        "            if mask != mask:\n                self.code",
    ),
    Row(
        "emit: bits of several ranges are one test",
        _EMIT,
        "if len(node.lows) == 2 and mask != WORD and node.lows[1] <= mask & -mask:",
        "if len(node.lows) == 2 and mask != WORD:",
    ),
    Row(
        "emit: set and clear bits are swapped",
        _EMIT,
        "mask, node.children[1], node.children[0])",
        "mask, node.children[0], node.children[1])",
    ),
    Row(
        "emit: the bits of another mask are tested",
        _EMIT,
        "self.jump(bpf.JMP_JSET_K, mask, node",
        "self.jump(bpf.JMP_JSET_K, mask & -mask, node",
    ),
    Row(
        "emit: the other half is loaded",
        _EMIT,
        "Instruction(bpf.LD_W_ABS, 0, 0, offset)",
        "Instruction(bpf.LD_W_ABS, 0, 0, offset ^ 4)",
    ),
    Row(
        "emit: a range of several values is a single one",
        _EMIT,
        "last - first == 2 and middle.low == middle.high and _is",
        "last - first == 2 and _is",
    ),
    Row("emit: what surrounds a single value differs", _EMIT, "and _is(begin.child, end.child):", "and begin.child is not end:"),
    Row(
        "emit: trees are cut at the wrong value",
        _EMIT,
        "_Split(self.pieces[cut].low, low, high)",
        "_Split(self.pieces[cut - 1].low, low, high)",
    ),
    Row(
        "emit: weights of numbers are not looked at",
        _EMIT,
        "weigh = self.weigh if self.weigh and node.view == NUMBER else",
        "weigh = self.weigh if self.weigh and node.view == () else",
    ),
    Row("emit: the program is upside down", _EMIT, "return tuple(reversed(writer.code))", "return tuple(writer.code)"),
    # ── program ──
    Row(
        "program: both ways are swapped in the bytes",
        _PROGRAM,
        """b"".join(struct.pack("<HBBI", *step) for step in program)""",
        """b"".join(struct.pack("<HBBI", step[0], step[2], step[1], step[3]) for step in program)""",
    ),
    Row(
        "program: the wrong byte order is written",
        _PROGRAM,
        """b"".join(struct.pack("<HBBI", *step)""",
        """b"".join(struct.pack(">HBBI", *step)""",
    ),
    Row(
        "program: the wrong byte order is read",
        _PROGRAM,
        'struct.iter_unpack("<HBBI", data[:whole])',
        'struct.iter_unpack(">HBBI", data[:whole])',
    ),
    Row("program: the last instruction is lost", _PROGRAM, "data[:whole])", "data[: whole - 8])"),
)
