"""Mistakes in what splits filters into a stack, and in what proves them."""

from __future__ import annotations

from fuzz.mutants.row import Row

_PROGRAM = "controls/seccomp/compiler/program.py"
_PROOF = "controls/seccomp/compiler/proof.py"
_STACK = "controls/seccomp/stack.py"

STACK: tuple[Row, ...] = (
    # ── stack ──
    Row(
        "stack: layers are compiled as the profile",
        _STACK,
        "for program in _fitting(settings, [wall], arch, weigh, passed=LATE_CALLS):",
        "for program in _fitting(settings, [own], arch, weigh, passed=LATE_CALLS):",
    ),
    Row(
        "stack: layers do not let the loading call pass",
        _STACK,
        "[wall], arch, weigh, passed=LATE_CALLS):",
        "[wall], arch, weigh):",
    ),
    Row("stack: the last filter does not speak for layers", _STACK, "[own], arch, weigh, also=layers):", "[own], arch, weigh):"),
    Row("stack: the first layer is left out", _STACK, "for wall in reversed(layers):", "for wall in reversed(layers[1:]):"),
    Row(
        "stack: the proof is left out",
        _STACK,
        "        proof.check_proof(settings, arch, [decode(item.program) for item in filters], change)\n",
        "        pass\n",
    ),
    Row(
        "stack: filters may be as long as they like",
        _STACK,
        "if program is not None and len(program) <= bpf.MAX_INSTRUCTIONS:",
        "if program is not None:",
    ),
    Row(
        "stack: a call that was given away is decided twice",
        _STACK,
        "if not item.rule.is_whole and item.rule.call not in passed:\n            ranges",
        "if not item.rule.is_whole:\n            ranges",
    ),
    Row(
        "stack: the second half passes everything of the first and itself",
        _STACK,
        "passed=(*passed, *half), also=also)",
        "passed=(*passed, *half, *rest), also=also)",
    ),
    Row(
        "stack: a watched filter lets refused calls pass",
        _STACK,
        "bpf.RET_TRAP) else bpf.RET_USER_NOTIF",
        "bpf.RET_TRAP) else bpf.RET_ALLOW",
    ),
    Row(
        "stack: a watched filter asks about logged calls",
        _STACK,
        "in (bpf.RET_ALLOW, bpf.RET_LOG, bpf.RET_TRAP)",
        "in (bpf.RET_ALLOW, bpf.RET_TRAP)",
    ),
    Row(
        "stack: a watched filter asks about its own listener", _STACK, 'HANDED_OVER = ("sendmmsg",)', 'HANDED_OVER = ("sendmsg",)'
    ),
    Row(
        "stack: frequencies change nothing",
        _STACK,
        "for item in settings.frequency if item.call in NUMBERS[arch]}",
        "for item in () if item.call in NUMBERS[arch]}",
    ),
    Row(
        "stack: the sum of all filters is not looked at",
        _STACK,
        "    if total <= bpf.MAX_STACKED_INSTRUCTIONS:\n",
        "    if total <= bpf.MAX_STACKED_INSTRUCTIONS << 8:\n",
    ),
    Row(
        "stack: a watched stack is not counted",
        _STACK,
        "_watched(settings, arch))\n        _check_total(filters)\n",
        "_watched(settings, arch))\n",
    ),
    Row("program: an answer is one instruction", _PROGRAM, "return 2  # the value", "return 1  # the value"),
    Row(
        "program: jumps with two ways are one instruction",
        _PROGRAM,
        "return 1 + (not has_one_way)",
        "return 1 + 0 * (not has_one_way)",
    ),
    Row("program: bits can be tested the other way round", _PROGRAM, "on_true and step.code in _INVERTED)", "on_true)"),
    Row("program: large numbers are immediates", _PROGRAM, "is_negative = step.k >> 31", "is_negative = step.k >> 32"),
    Row("program: filters in a stack cost nothing", _PROGRAM, "max(len(lengths) - 1, 0)", "0"),
    Row("program: the newest filter costs more too", _PROGRAM, "max(len(lengths) - 1, 0)", "len(lengths)"),
    # ── proof ──
    Row(
        "proof: no difference is ever found",
        _PROOF,
        "            if found != wanted:\n",
        "            if found is wanted is None:\n",
    ),
    Row(
        "proof: only the action is compared",
        _PROOF,
        "            if found != wanted:\n",
        "            if found >> 16 != wanted >> 16:\n",
    ),
    Row("proof: a witness has the wrong answer", _PROOF, "part.point(), wanted, found)", "part.point(), found, wanted)"),
    Row(
        "proof: a witness is not of the part",
        _PROOF,
        "part.witness(NUMBER), part.point()",
        "part.witness(NUMBER), region.point()",
    ),
    Row("proof: greater is at least", _PROOF, "((step.k + 1, WORD),) if step.k < WORD else ()", "((step.k, WORD),)"),
    Row("proof: at least is greater", _PROOF, "return WORD, ((step.k, WORD),)", "return WORD, ((step.k + 1, WORD),)"),
    Row("proof: bits are a value", _PROOF, "return step.k, ((1, WORD),)", "return step.k, ((step.k, step.k),)"),
    Row(
        "proof: the way of what is not taken is lost",
        _PROOF,
        "for ways, passed in ((on_true, step.on_true), (on_false, step.on_false)):",
        "for ways, passed in ((on_true, step.on_true),):",
    ),
    Row(
        "proof: ways are swapped",
        _PROOF,
        "((on_true, step.on_true), (on_false, step.on_false))",
        "((on_true, step.on_false), (on_false, step.on_true))",
    ),
    Row(
        "proof: what was not taken goes on as if",
        _PROOF,
        "((on_true, step.on_true), (on_false, step.on_false))",
        "((on_true, step.on_true), (on_false, step.on_true))",
    ),
    Row(
        "proof: the mask of a jump is forgotten",
        _PROOF,
        "_Seen(seen.index, seen.shift, seen.mask & mask).test(ranges)",
        "_Seen(seen.index, seen.shift, seen.mask).test(ranges)",
    ),
    Row(
        "proof: and is forgotten",
        _PROOF,
        "go(following, _Seen(seen.index, seen.shift, seen.mask & step.k), regions)",
        "go(following, _Seen(seen.index, seen.shift, seen.mask), regions)",
    ),
    Row(
        "proof: and replaces the mask",
        _PROOF,
        "go(following, _Seen(seen.index, seen.shift, seen.mask & step.k), regions)",
        "go(following, _Seen(seen.index, seen.shift, step.k), regions)",
    ),
    Row("proof: upper halves are lower ones", _PROOF, "return _Seen(index, rest * 8, WORD)", "return _Seen(index, 0, WORD)"),
    Row("proof: the number is the architecture", _PROOF, "return _Seen(NUMBER, 0, WORD)", "return _Seen(ARCH, 0, WORD)"),
    Row("proof: loads beyond the arguments are taken", _PROOF, "if not 0 <= index < 6 or rest", "if not -2 <= index < 7 or rest"),
    Row("proof: long jumps go nowhere", _PROOF, "go(following + step.k, seen, regions)", "go(following, seen, regions)"),
    Row(
        "proof: the end of a filter is an answer",
        _PROOF,
        """            raise UnprovableFilter("it jumps past its end")""",
        """            return""",
    ),
    Row(
        "proof: the oldest filter wins",
        _PROOF,
        "newest if rank(newest) <= rank(older) else older",
        "newest if rank(newest) < rank(older) else older",
    ),
    Row(
        "proof: the laxest filter wins",
        _PROOF,
        "newest if rank(newest) <= rank(older) else older",
        "newest if rank(newest) >= rank(older) else older",
    ),
    Row(
        "proof: only the newest filter is walked",
        _PROOF,
        "for smaller, older in walk_stack(programs[:-1], part):",
        "for smaller, older in walk_stack((), part):",
    ),
    Row(
        "proof: ways that meet are the first of them",
        _PROOF,
        ".setdefault(seen, []).extend(regions)",
        ".setdefault(seen, list(regions))",
    ),
    Row(
        "proof: ways that meet see what the first saw",
        _PROOF,
        "waiting[at].setdefault(seen, [])",
        "waiting[at].setdefault(next(iter(waiting[at]), seen), [])",
    ),
    Row("proof: it may take for ever", _PROOF, "arch, change, Effort(MAX_STEPS)):", "arch, change, Effort(MAX_STEPS << 20)):"),
    Row("proof: foreign architectures are not looked at", _PROOF, """    yield foreign, change("", FOREIGN)\n""", ""),
    Row("proof: x32 is not looked at", _PROOF, """        yield from _at(here, x32, change("", FOREIGN))\n""", ""),
    Row("proof: unknown numbers are not looked at", _PROOF, """    yield from _at(here, unnamed, change("", UNKNOWN))\n""", ""),
    Row(
        "proof: calls with one answer are not looked at",
        _PROOF,
        "        yield from _at(here, _joined(numbers), answer)",
        "        yield from _at(here, (), answer)",
    ),
    Row("proof: a call is what its first part says", _PROOF, "if len({answer for _, answer in parts}) == 1:", "if parts:"),
    Row(
        "proof: a difference is no error",
        _PROOF,
        "    if witness is None:\n        return\n",
        "    if witness or not witness:\n        return\n",
    ),
)
