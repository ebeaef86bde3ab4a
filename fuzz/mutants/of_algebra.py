"""Mistakes in the algebra of ranges, rules and cases."""

from __future__ import annotations

from fuzz.mutants.row import Row

_BITS = "controls/seccomp/bits.py"
_RULES = "controls/seccomp/rules.py"
_CASES = "controls/seccomp/cases.py"

ALGEBRA: tuple[Row, ...] = (
    # ── bits ──
    Row("bits: the least value is not raised", _BITS, "return (low & ~(bit - 1)) | bit", "return low & ~(bit - 1)"),
    Row(
        "bits: the greatest value keeps foreign bits",
        _BITS,
        "(high & ~(2 * top - 1)) | (mask & (top - 1))",
        "(high & ~(top - 1)) | (mask & (top - 1))",
    ),
    Row(
        "bits: adjacent ranges stay apart",
        _BITS,
        "if found and (following is None or first <= following):",
        "if found and first <= found[-1][1]:",
    ),
    Row(
        "bits: neighbours with a gap are joined",
        _BITS,
        "following is None or first <= following)",
        "following is None or first <= following + 1)",
    ),
    Row("bits: a joined range ends with the last", _BITS, "(found[-1][0], max(found[-1][1], last))", "(found[-1][0], last)"),
    Row(
        "bits: the complement begins with the last value",
        _BITS,
        "        at = high + 1\n    if at",
        "        at = high\n    if at",
    ),
    Row("bits: the complement has no end", _BITS, "    if at <= mask:\n        found.append((at, mask))\n", ""),
    Row(
        "bits: the complement has no beginning",
        _BITS,
        "        if low > at:\n            found.append((at, low - 1))\n",
        "        if low > at > 0:\n            found.append((at, low - 1))\n",
    ),
    Row(
        "bits: the intersection loses single values",
        _BITS,
        "        if low <= high:\n            found.append((low, high))\n        if one",
        "        if low < high:\n            found.append((low, high))\n        if one",
    ),
    Row("bits: the intersection goes on with the wrong one", _BITS, "if one[i][1] < other[j][1]:", "if one[i][0] < other[j][0]:"),
    Row(
        "bits: ranges settle bits too",
        _BITS,
        "        if low == high:\n            fixed,",
        "        if low <= high:\n            fixed,",
    ),
    Row(
        "bits: a settled range is not checked",
        _BITS,
        "elif not low <= settled & mask <= high:",
        "elif not low <= settled & mask:",
    ),
    Row(
        "bits: masks that share bits are decided apart",
        _BITS,
        "            if bits & mask:\n                joined, members",
        "            if bits == mask:\n                joined, members",
    ),
    Row(
        "bits: the solver forgets the high end",
        _BITS,
        "or (on_high and seen > high & bit):",
        "or (on_high and seen > high | bit):",
    ),
    Row("bits: the solver forgets the low end", _BITS, "if (on_low and seen < low & bit) or", "if (on_low and seen < 0) or"),
    Row(
        "bits: the solver leaves the edge too soon",
        _BITS,
        "(on_low and seen == low & bit, on_high",
        "(on_low and seen > low & bit, on_high",
    ),
    Row("bits: the solver tries zeros only", _BITS, "else (0, bit)\n", "else (0,)\n"),
    Row(
        "bits: only the first range is tried",
        _BITS,
        "        for low, high in ordered[at][1]:\n",
        "        for low, high in ordered[at][1][:1]:\n",
    ),
    Row(
        "bits: a region forgets what it knew",
        _BITS,
        "left = ranges if known is None else intersection(known, ranges)",
        "left = ranges",
    ),
    Row(
        "bits: a region under several masks is never empty",
        _BITS,
        "if len(touching) > 1 and _value_under(",
        "if len(touching) > 9 and _value_under(",
    ),
    Row(
        "bits: what is without is not disjoint",
        _BITS,
        "            yield outside\n        rest = rest.narrowed(index, mask, ranges)\n",
        "            yield outside\n",
    ),
    Row(
        "bits: what is without is what is within",
        _BITS,
        "outside = rest.narrowed(index, mask, complement(ranges, mask))",
        "outside = rest.narrowed(index, mask, ranges)",
    ),
    Row(
        "bits: within looks at the last test only",
        _BITS,
        "        rest = rest.narrowed(index, mask, ranges) if rest is not None else None",
        "        rest = region.narrowed(index, mask, ranges) if rest is not None else None",
    ),
    # ── rules ──
    Row("rules: pointers are 32 bits", _RULES, '64 if width == "*" else int(width)', '32 if width == "*" else int(width)'),
    Row(
        "rules: sixteen bits are 32", _RULES, '64 if width == "*" else int(width)', '64 if width == "*" else max(int(width), 32)'
    ),
    Row("rules: 32 bits are 64", _RULES, '64 if width == "*" else int(width)', '64 if width in "*32" else int(width)'),
    Row("rules: arguments are counted from one", _RULES, "Argument(i, name, 64 if", "Argument(i + 1, name, 64 if"),
    Row(
        "rules: all architectures have one clone",
        _RULES,
        "BY_ARCH.get(arch, {}).get(call, ARGUMENTS.get(call))",
        "ARGUMENTS.get(call)",
    ),
    Row(
        "rules: matching does not mask",
        _RULES,
        "any(low <= arguments[index] & mask <= high for low, high in ranges)",
        "any(low <= arguments[index] <= high for low, high in ranges)",
    ),
    Row(
        "rules: matching leaves the last value out",
        _RULES,
        "low <= arguments[index] & mask <= high for",
        "low <= arguments[index] & mask < high for",
    ),
    Row(
        "rules: one condition of a case is enough",
        _RULES,
        "        all(\n            any(low <= arguments",
        "        any(\n            any(low <= arguments",
    ),
    Row(
        "rules: a rule needs all of its cases",
        _RULES,
        "    return any(\n        all(\n            any(low",
        "    return all(\n        all(\n            any(low",
    ),
    Row("rules: kernels from the bound on are excluded", _RULES, "and situation.kernel >= since", "and situation.kernel > since"),
    Row("rules: kernels up to the bound are included", _RULES, "or situation.kernel < below)", "or situation.kernel <= below)"),
    Row(
        "rules: one capability of several is enough",
        _RULES,
        "and situation.capabilities & self.held == self.held",
        "and (situation.capabilities & self.held or not self.held)",
    ),
    Row(
        "rules: capabilities that may not be held are not looked at",
        _RULES,
        "            and not situation.capabilities & self.unheld\n",
        "",
    ),
    Row(
        "rules: architectures are not looked at",
        _RULES,
        "(not self.arches or situation.arch in self.arches)",
        "(not self.arches or situation.arch not in self.arches)",
    ),
    Row(
        "rules: kill is the laxest action",
        _RULES,
        "return action - (1 << 32) if action & bpf.RET_KILL_PROCESS else action",
        "return action",
    ),
    Row(
        "rules: the errno is a part of the rank",
        _RULES,
        "    action = action_of(answer)\n    return action -",
        "    action = answer\n    return action -",
    ),
    Row(
        "rules: overlapping needs all cases",
        _RULES,
        "return one.call == other.call and any(",
        "return one.call == other.call and all(",
    ),
    Row(
        "rules: every case is included",
        _RULES,
        "if region is not None and next(_parts_outside(region, narrow.call, cases), None) is not None:",
        "if region is None and next(_parts_outside(Region(), narrow.call, cases), None) is not None:",
    ),
    Row(
        "rules: only the first rule includes",
        _RULES,
        "cases = [case for rule in wide for case in rule.cases]",
        "cases = [case for rule in list(wide)[:1] for case in rule.cases]",
    ),
    Row(
        "rules: a rule keeps nothing of its group's answer",
        _RULES,
        "answer=answer if rule.answer == NO_ANSWER else rule.answer,",
        "answer=rule.answer,",
    ),
    Row(
        "rules: a group's condition replaces the rule's",
        _RULES,
        "when=rule.when if when == ALWAYS else _both(rule.when, when),",
        "when=rule.when if when == ALWAYS else when,",
    ),
    Row("rules: conditions that exclude each other hold everywhere", _RULES, 'arches = ("none",)', "arches = ()"),
    Row(
        "rules: of two lower bounds the lower counts",
        _RULES,
        "kernel = (max(one.kernel[0], other.kernel[0]),",
        "kernel = (min(one.kernel[0], other.kernel[0]),",
    ),
    Row("rules: of two upper bounds the upper counts", _RULES, "min(bounds, default=(0, 0)))", "max(bounds, default=(0, 0)))"),
    Row(
        "rules: strict lets every upper half through",
        _RULES,
        "((1 << 32, _HIGH - (1 << 32)),)),))",
        "((1 << 33, _HIGH - (1 << 32)),)),))",
    ),
    Row(
        "rules: strict refuses the sign",
        _RULES,
        "Condition(name, 1 << 31, ((0, 0),)), Condition(name, _HIGH, ((_HIGH, _HIGH),))",
        "Condition(name, 1 << 31, ((1 << 31, 1 << 31),)), Condition(name, _HIGH, ((_HIGH, _HIGH),))",
    ),
    Row(
        "rules: strict looks at 64 bits too",
        _RULES,
        "if argument.name in rule.tested and argument.bits < 64:",
        "if argument.name in rule.tested:",
    ),
    Row(
        "rules: strict looks at every argument",
        _RULES,
        "if argument.name in rule.tested and argument.bits < 64:",
        "if argument.bits < 64:",
    ),
    Row(
        "rules: strict forgets the condition of its rule",
        _RULES,
        "Rule(rule.call, tuple(sorted(cases)), when=rule.when)",
        "Rule(rule.call, tuple(sorted(cases)))",
    ),
    # ── cases ──
    Row(
        "cases: everything is no condition, and so is nothing",
        _CASES,
        "    if not wanted:\n        return NEVER\n",
        "    if not wanted:\n        return EVERY\n",
    ),
    Row(
        "cases: conditions on one argument are alternatives",
        _CASES,
        "left = bits.intersection(ranges[key], condition.ranges) if key in ranges else",
        "left = condition.ranges if key in ranges else",
    ),
    Row(
        "cases: impossible conditions are left out",
        _CASES,
        "        if not left:\n            return None\n",
        "        if not left:\n            continue\n",
    ),
    Row(
        "cases: masks are not told apart",
        _CASES,
        "        key = (condition.argument, condition.mask)\n        left =",
        "        key = (condition.argument, 7)\n        left =",
    ),
    Row(
        "cases: the narrower case is kept",
        _CASES,
        "any(wide <= conditions for wide in known)",
        "any(wide & conditions for wide in known)",
    ),
    Row("cases: there is no limit", _CASES, "if len(kept) == MAX_CASES:", "if len(kept) == -1:"),
    Row("cases: the limit is one less", _CASES, "if len(kept) == MAX_CASES:", "if len(kept) == MAX_CASES - 1:"),
    Row(
        "cases: merged cases lose ranges",
        _CASES,
        "bits.normal((*single.get(key, ()), *condition.ranges), condition.mask)",
        "bits.normal(condition.ranges, condition.mask)",
    ),
    Row(
        "cases: everything is not seen",
        _CASES,
        "        return EVERY\n    return tuple(sorted((*alone, *rest)))",
        "        return NEVER\n    return tuple(sorted((*alone, *rest)))",
    ),
    Row(
        "cases: cases of several conditions are lost",
        _CASES,
        "return tuple(sorted((*alone, *rest)))",
        "return tuple(sorted(alone or rest))",
    ),
    Row(
        "cases: not is not of one condition alone",
        _CASES,
        "some_hold(call, *opposite) if opposite else NEVER)",
        "all_hold(call, *opposite) if opposite else NEVER)",
    ),
    Row(
        "cases: not is of the first case",
        _CASES,
        "    for case in cases:\n        opposite",
        "    for case in cases[:1]:\n        opposite",
    ),
    Row(
        "cases: not is the same",
        _CASES,
        "if (outside := bits.complement(condition.ranges, condition.mask))",
        "if (outside := condition.ranges)",
    ),
)
