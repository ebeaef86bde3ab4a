"""Mistakes in what rules mean together, and in the semantics that everything is compared with."""

from __future__ import annotations

from fuzz.mutants.row import Row

_MEANING = "controls/seccomp/meaning.py"
_GRAMMAR = "controls/seccomp/grammar.py"
_REFERENCE = "controls/seccomp/reference.py"

MEANING: tuple[Row, ...] = (
    # ── meaning ──
    Row(
        "meaning: an edited group keeps what it leaves out",
        _MEANING,
        "        for item in inner.grants:\n            if item.rule.call not in group.but:\n",
        "        for item in inner.grants:\n            if item.rule.call not in ():\n",
    ),
    Row("meaning: an edited group loses its denies", _MEANING, "        self.denies += inner.denies\n", ""),
    Row("meaning: an edited group loses its answers", _MEANING, "        self.refusals += inner.refusals\n", ""),
    Row(
        "meaning: a denied group denies what it leaves out",
        _MEANING,
        "        for rule in rules:\n            if rule.call not in group.but:\n                # What",
        "        for rule in rules:\n            if rule.call not in ():\n                # What",
    ),
    Row(
        "meaning: a denied group answers what its grants do", _MEANING, "plain = replace(rule, answer=NO_ANSWER)", "plain = rule"
    ),
    Row(
        "meaning: a circle of changed groups is not seen",
        _MEANING,
        "        if name in self.above:\n",
        "        if name in ():\n",
    ),
    Row(
        "meaning: a group's denies are not taken",
        _MEANING,
        "            self.denies += self._rules_of(item)\n",
        "            self.denies += self._rules_of(item) if not group else ()\n",
    ),
    Row(
        "meaning: two errnos are no contradiction",
        _MEANING,
        "if a.answer != b.answer and _can_meet(a.when, b.when) and overlaps(a, b):",
        "if a.answer != b.answer and not _can_meet(a.when, b.when) and overlaps(a, b):",
    ),
    Row(
        "meaning: rules that never meet contradict",
        _MEANING,
        "if a.answer != b.answer and _can_meet(a.when, b.when) and overlaps(a, b):",
        "if a.answer != b.answer and overlaps(a, b):",
    ),
    Row(
        "meaning: rules about other uses contradict",
        _MEANING,
        "if a.answer != b.answer and _can_meet(a.when, b.when) and overlaps(a, b):",
        "if a.answer != b.answer and a.call == b.call and _can_meet(a.when, b.when):",
    ),
    Row(
        "meaning: strict is dropped",
        _MEANING,
        "walls.append(_strict(wall) if is_strict or said",
        "walls.append(wall if is_strict or said",
    ),
    Row(
        "meaning: strict of a layer is dropped",
        _MEANING,
        'if is_strict or said.values("strict") == (True,) else wall)',
        "if is_strict else wall)",
    ),
    Row(
        "meaning: strict of the profile is not the layers'",
        _MEANING,
        'is_strict = section.values("strict") == (True,)',
        "is_strict = False",
    ),
    Row(
        "meaning: strict looks at grants only",
        _MEANING,
        "for item in (*(wall.grants or ()), *wall.denies))\n    return replace(wall, denies=",
        "for item in (*(wall.grants or ()),))\n    return replace(wall, denies=",
    ),
    Row(
        "meaning: a layer without allow allows nothing",
        _MEANING,
        'is_open = bool(walls) and "allow" not in said.said',
        "is_open = False",
    ),
    Row(
        "meaning: an empty list of a layer is none",
        _MEANING,
        'is_open = bool(walls) and "allow" not in said.said',
        'is_open = bool(walls) and not said.said.get("allow")',
    ),
    Row("meaning: layers are dropped", _MEANING, "*layers]:", "*layers[:0]]:"),
    Row(
        "meaning: when counts nowhere",
        _MEANING,
        "kept = (item for item in statements if item.rule.when.holds(situation))",
        "kept = (item for item in statements if item.rule.when is ALWAYS)",
    ),
    Row(
        "meaning: when counts everywhere",
        _MEANING,
        "kept = (item for item in statements if item.rule.when.holds(situation))",
        "kept = iter(statements)",
    ),
    Row(
        "meaning: denies count whatever their condition",
        _MEANING,
        "denies=_counting(self.denies, situation),",
        "denies=self.denies,",
    ),
    Row(
        "meaning: answers count everywhere",
        _MEANING,
        "for item in self.refusals if item.when.holds(situation))",
        "for item in self.refusals)",
    ),
    Row(
        "meaning: conditional answers count before they do",
        _MEANING,
        "for item in refusals if item.when == ALWAYS}",
        "for item in refusals}",
    ),
    Row(
        "meaning: answers of one situation are not looked for",
        _MEANING,
        "refusals=refusals, answers=_answers_of(refusals))",
        "refusals=refusals)",
    ),
    Row(
        "meaning: two answers are one more than none",
        _MEANING,
        "if other.errno != item.errno and _can_meet(other.when, item.when)), None)",
        "if other.errno != item.errno and other.when == item.when), None)",
    ),
    Row(
        "meaning: answers that never meet are two",
        _MEANING,
        "item.errno and _can_meet(other.when, item.when)), None)",
        "item.errno), None)",
    ),
    Row(
        "meaning: what an answer is said of a group counts everywhere",
        _MEANING,
        "Refusal(call, answer.errno, answer.when, ",
        "Refusal(call, answer.errno, ALWAYS, ",
    ),
    Row("grammar: an answer loses its condition", _GRAMMAR, "else item.call, item.when)", "else item.call)"),
    Row(
        "meaning: a call may have cases without end",
        _MEANING,
        "if before <= MAX_CASES < counts",
        "if before <= MAX_CASES << 9 < counts",
    ),
    Row(
        "meaning: clone3 answers as everything else",
        _MEANING,
        'BUILT_IN_ANSWERS = {"clone3": int(Errno.ENOSYS)}',
        'BUILT_IN_ANSWERS = {"clone2": int(Errno.ENOSYS)}',
    ),
    Row(
        "meaning: default_errno is dropped",
        _MEANING,
        "default_errno=default.value if default and isinstance(default.value, int) else int(Errno.EPERM),",
        "default_errno=int(Errno.EPERM),",
    ),
    Row(
        "meaning: answers of calls are dropped",
        _MEANING,
        "return dict(self.answers).get(call, self.default_errno)",
        "return self.default_errno",
    ),
    Row(
        "meaning: nothing need start a command",
        _MEANING,
        "            if not wall.passes_whole(call):\n                where",
        "            if not wall.passes_some(call):\n                where",
    ),
    Row(
        "meaning: what is written later comes later",
        _MEANING,
        "return tuple(first[rule] for rule in sorted(first))",
        "return tuple(first.values())",
    ),
    # ── reference ──
    Row(
        "reference: unknown numbers are allowed",
        _REFERENCE,
        "UNKNOWN = bpf.RET_ERRNO | int(Errno.ENOSYS)",
        "UNKNOWN = bpf.RET_ALLOW",
    ),
    Row(
        "reference: unknown numbers answer EPERM",
        _REFERENCE,
        "UNKNOWN = bpf.RET_ERRNO | int(Errno.ENOSYS)",
        "UNKNOWN = bpf.RET_ERRNO | int(Errno.EPERM)",
    ),
    Row("reference: foreign calls answer ENOSYS", _REFERENCE, "FOREIGN = bpf.RET_KILL_PROCESS", "FOREIGN = UNKNOWN"),
    Row("reference: foreign calls end a thread", _REFERENCE, "FOREIGN = bpf.RET_KILL_PROCESS", "FOREIGN = bpf.RET_KILL_THREAD"),
    Row(
        "reference: x32 begins one later",
        _REFERENCE,
        "bpf.X32_BIT <= number != bpf.NO_NUMBER:",
        "bpf.X32_BIT < number != bpf.NO_NUMBER:",
    ),
    Row("reference: -1 is foreign", _REFERENCE, "bpf.X32_BIT <= number != bpf.NO_NUMBER:", "bpf.X32_BIT <= number:"),
    Row("reference: x32 is everywhere", _REFERENCE, 'if arch == "x86_64" and bpf', "if arch and bpf"),
    Row(
        "reference: what no rule is about is allowed",
        _REFERENCE,
        "            return answer\n    return refused\n",
        "            return answer\n    return bpf.RET_ALLOW\n",
    ),
    Row("reference: the laxest wall counts", _REFERENCE, "return min(answers, key=rank)", "return max(answers, key=rank)"),
    Row(
        "reference: of equal actions the last counts",
        _REFERENCE,
        "return min(answers, key=rank)",
        "return min(reversed(list(answers)), key=rank)",
    ),
    Row(
        "reference: grants win over denies",
        _REFERENCE,
        "return denies + sorted(grants, key=lambda pair: rank(pair[1]))",
        "return sorted(grants, key=lambda pair: rank(pair[1])) + denies",
    ),
    Row(
        "reference: denies are in no order",
        _REFERENCE,
        "    denies.sort(key=lambda pair: (rank(pair[1]), pair[0].answer == NO_ANSWER))\n",
        "",
    ),
    Row(
        "reference: the laxest deny decides",
        _REFERENCE,
        "(rank(pair[1]), pair[0].answer == NO_ANSWER))",
        "(-rank(pair[1]), pair[0].answer == NO_ANSWER))",
    ),
    Row(
        "reference: the errno of a call goes before that of a rule",
        _REFERENCE,
        "(rank(pair[1]), pair[0].answer == NO_ANSWER))",
        "(rank(pair[1]), pair[0].answer != NO_ANSWER))",
    ),
    Row(
        "reference: log is allow",
        _REFERENCE,
        "bpf.RET_ALLOW if rule.answer == NO_ANSWER else rule.answer) for rule in wall.grants_of",
        "bpf.RET_ALLOW) for rule in wall.grants_of",
    ),
    Row(
        "reference: allow goes before log",
        _REFERENCE,
        "sorted(grants, key=lambda pair: rank(pair[1]))",
        "sorted(grants, key=lambda pair: -rank(pair[1]))",
    ),
    Row(
        "reference: denies answer the call's errno",
        _REFERENCE,
        "refused if rule.answer == NO_ANSWER else rule.answer) for rule in wall.denies_of",
        "refused) for rule in wall.denies_of",
    ),
    Row(
        "reference: regions have the last wall's answer", _REFERENCE, "yield part, strictest(answers)", "yield part, answers[-1]"
    ),
    Row(
        "reference: only the first part of a region has an answer",
        _REFERENCE,
        "            for smaller, answer in _first_answers(part, arch, ordered, refused)\n",
        "            for smaller, answer in list(_first_answers(part, arch, ordered, refused))[:1]\n",
    ),
    Row(
        "reference: what is left of a region is nothing",
        _REFERENCE,
        "    yield from ((part, refused) for part in left)",
        "    yield from ()",
    ),
    Row(
        "reference: what is left of a region is allowed",
        _REFERENCE,
        "    yield from ((part, refused) for part in left)",
        "    yield from ((part, bpf.RET_ALLOW) for part in left)",
    ),
    Row(
        "reference: a call falls into parts without end",
        _REFERENCE,
        "if len(left) > MAX_PARTS:",
        "if len(left) > MAX_PARTS << 40:",
    ),
)
