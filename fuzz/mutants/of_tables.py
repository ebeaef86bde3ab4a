"""Mistakes in the tables, in the simulator, and in what stands beside libseccomp."""

from __future__ import annotations

from fuzz.mutants.row import Row

_BPF = "abi/bpf.py"
_NUMBERS = "abi/syscalls_table.py"
_ARGUMENTS = "abi/arguments_table.py"
_CONSTANTS = "abi/constants.py"
_SIMULATE = "verify/simulate.py"
_CLOSING = "controls/seccomp/libseccomp/closing.py"
_ASSEMBLY = "controls/seccomp/libseccomp/assembly.py"
_BLOCKS = "controls/seccomp/libseccomp/blocks.py"
_BACKEND = "controls/seccomp/libseccomp/backend.py"

TABLES: tuple[Row, ...] = (
    # ── classic BPF ──
    Row("bpf: AUDIT_ARCH of x86_64", _BPF, '"x86_64": 0xC000003E,', '"x86_64": 0xC0000003,'),
    Row("bpf: AUDIT_ARCH of aarch64", _BPF, '"aarch64": 0xC00000B7,', '"aarch64": 0xC00000B8,'),
    Row("bpf: AUDIT_ARCH of riscv64", _BPF, '"riscv64": 0xC00000F3,', '"riscv64": 0x400000F3,'),
    Row("bpf: the bit of x32", _BPF, "X32_BIT: Final = 0x40000000", "X32_BIT: Final = 0x20000000"),
    Row("bpf: the number of a skipped call", _BPF, "NO_NUMBER: Final = 0xFFFFFFFF", "NO_NUMBER: Final = 0x7FFFFFFF"),
    Row("bpf: filters of 8192 instructions", _BPF, "MAX_INSTRUCTIONS: Final = 4096", "MAX_INSTRUCTIONS: Final = 8192"),
    Row("bpf: arguments begin elsewhere", _BPF, "DATA_ARGS: Final = 16", "DATA_ARGS: Final = 24"),
    Row("bpf: at least is greater", _BPF, "JMP_JGE_K: Final = 0x35", "JMP_JGE_K: Final = 0x25"),
    Row("bpf: log is allow", _BPF, "RET_LOG: Final = 0x7FFC0000", "RET_LOG: Final = 0x7FFF0000"),
    Row("bpf: kill is of a thread", _BPF, "RET_KILL_PROCESS: Final = 0x80000000", "RET_KILL_PROCESS: Final = 0x00000000"),
    Row("bpf: errno is trap", _BPF, "RET_ERRNO: Final = 0x00050000", "RET_ERRNO: Final = 0x00030000"),
    Row("bpf: an action has no sign", _BPF, "RET_ACTION: Final = 0xFFFF0000", "RET_ACTION: Final = 0x7FFF0000"),
    # ── numbers ──
    Row("numbers: execve is execveat", _NUMBERS, '        "execve": 59,\n', '        "execve": 322,\n'),
    Row(
        "numbers: two calls are swapped",
        _NUMBERS,
        '        "socket": 41,\n        "connect": 42,\n',
        '        "socket": 42,\n        "connect": 41,\n',
    ),
    Row("numbers: the call that loads filters", _NUMBERS, '        "seccomp": 317,\n', '        "seccomp": 318,\n'),
    Row("numbers: bpf is missing", _NUMBERS, '        "bpf": 321,\n', ""),
    Row(
        "numbers: a number of aarch64 in the table of riscv64",
        _NUMBERS,
        '        "riscv_hwprobe": 258,\n',
        '        "riscv_hwprobe": 259,\n',
    ),
    Row("numbers: the newest of x86_64", _NUMBERS, '    "x86_64": 471,\n', '    "x86_64": 470,\n'),
    Row("numbers: the newest of riscv64", _NUMBERS, '    "riscv64": 471,\n', '    "riscv64": 500,\n'),
    # ── widths ──
    Row(
        "widths: a family of 64 bits",
        _ARGUMENTS,
        '"socket": "family:32 type:32 protocol:32",',
        '"socket": "family:64 type:32 protocol:32",',
    ),
    Row(
        "widths: arguments swapped",
        _ARGUMENTS,
        '"socket": "family:32 type:32 protocol:32",',
        '"socket": "type:32 family:32 protocol:32",',
    ),
    Row(
        "widths: an offset of 32 bits",
        _ARGUMENTS,
        '"lseek": "fd:32 offset:64 whence:32",',
        '"lseek": "fd:32 offset:32 whence:32",',
    ),
    Row(
        "widths: a mode of 32 bits",
        _ARGUMENTS,
        '"mknodat": "dfd:32 filename:* mode:16 dev:32",',
        '"mknodat": "dfd:32 filename:* mode:32 dev:32",',
    ),
    Row(
        "widths: a pointer that may be compared",
        _ARGUMENTS,
        '"seccomp": "op:32 flags:32 uargs:*",',
        '"seccomp": "op:32 flags:32 uargs:64",',
    ),
    Row(
        "widths: an argument is missing",
        _ARGUMENTS,
        '"prctl": "option:32 arg2:64 arg3:64 arg4:64 arg5:64",',
        '"prctl": "arg2:64 arg3:64 arg4:64 arg5:64",',
    ),
    Row(
        "widths: clone flags of 64 bits",
        _ARGUMENTS,
        '"clone": "clone_flags:32 newsp:64 parent_tidptr:* child_tidptr:* tls:64",',
        '"clone": "clone_flags:64 newsp:64 parent_tidptr:* child_tidptr:* tls:64",',
    ),
    # ── constants ──
    Row("constants: AF_ALG", _CONSTANTS, '"AF_ALG": 0x26,', '"AF_ALG": 0x27,'),
    Row("constants: TIOCSTI", _CONSTANTS, '"TIOCSTI": 0x5412,', '"TIOCSTI": 0x5413,'),
    Row("constants: TIOCLINUX", _CONSTANTS, '"TIOCLINUX": 0x541C,', '"TIOCLINUX": 0x541B,'),
    Row("constants: CLONE_NEWUSER", _CONSTANTS, '"CLONE_NEWUSER": 0x10000000,', '"CLONE_NEWUSER": 0x1000000,'),
    Row("constants: SOCK_TYPE_MASK", _CONSTANTS, '"SOCK_TYPE_MASK": 0xF,', '"SOCK_TYPE_MASK": 0x7,'),
    Row("constants: PROT_EXEC", _CONSTANTS, '"PROT_EXEC": 0x4,', '"PROT_EXEC": 0x8,'),
    Row("constants: S_IFMT", _CONSTANTS, '"S_IFMT": 0xF000,', '"S_IFMT": 0xE000,'),
    # ── simulator ──
    Row("simulator: greater is at least", _SIMULATE, "bpf.JMP_JGT_K: lambda a, b: a > b,", "bpf.JMP_JGT_K: lambda a, b: a >= b,"),
    Row("simulator: at least is greater", _SIMULATE, "bpf.JMP_JGE_K: lambda a, b: a >= b,", "bpf.JMP_JGE_K: lambda a, b: a > b,"),
    Row(
        "simulator: bits are all set",
        _SIMULATE,
        "bpf.JMP_JSET_K: lambda a, b: a & b != 0,",
        "bpf.JMP_JSET_K: lambda a, b: a & b == b,",
    ),
    Row("simulator: and is or", _SIMULATE, "0x54: lambda a, b: a & b,", "0x54: lambda a, b: a | b,"),
    Row("simulator: long jumps are one too long", _SIMULATE, "            at += k\n", "            at += k + 1\n"),
    Row("simulator: both ways of a jump are swapped", _SIMULATE, "at += on_true if _JUMP", "at += on_false if not _JUMP"),
    Row("simulator: the oldest filter wins", _SIMULATE, "for program in reversed(programs):", "for program in programs:"),
    Row("simulator: the laxest filter wins", _SIMULATE, "if found.rank < verdict.rank:", "if found.rank > verdict.rank:"),
    Row(
        "simulator: kill is the laxest action",
        _SIMULATE,
        "return self.action - (1 << 32) if self.action & bpf.RET_KILL_PROCESS else self.action",
        "return self.action",
    ),
    Row(
        "simulator: architecture and number are swapped",
        _SIMULATE,
        'struct.pack("<IIQ6Q", self.number & _WORD, self.arch, 0,',
        'struct.pack("<IIQ6Q", self.arch, self.number & _WORD, 0,',
    ),
    Row(
        "simulator: any length is taken",
        _SIMULATE,
        "if rest or not 0 < count <= bpf.MAX_INSTRUCTIONS:",
        "if rest or not 0 < count:",
    ),
    # ── the closing filter ──
    Row(
        "closing: the first number of a gap is refused elsewhere",
        _CLOSING,
        "            yield start, number - 1\n",
        "            yield start + 1, number - 1\n",
    ),
    Row(
        "closing: a gap ends one too late", _CLOSING, "            yield start, number - 1\n", "            yield start, number\n"
    ),
    Row(
        "closing: the last gap ends with the table",
        _CLOSING,
        'yield start, (bpf.X32_BIT - 1 if arch == "x86_64" else bpf.NO_NUMBER)',
        "yield start, bpf.X32_BIT - 1",
    ),
    Row("closing: the numbers of x32 are unknown", _CLOSING, " + when_within(bpf.X32_BIT, bpf.NO_NUMBER, kill)", ""),
    Row("closing: -1 is foreign", _CLOSING, "checked + when_equal(bpf.NO_NUMBER, unknown) + when", "checked + when"),
    Row("closing: x32 is looked for everywhere", _CLOSING, '    if arch != "x86_64":\n        return checked\n', ""),
    Row(
        "closing: foreign architectures pass",
        _CLOSING,
        "unless_equal(bpf.AUDIT_ARCH[arch], kill)",
        "when_equal(bpf.AUDIT_ARCH[arch], ())",
    ),
    Row(
        "closing: denies of a call are not looked at",
        _CLOSING,
        "            denied += when_matching(tests_of(call, case, arch), refused)\n",
        "            denied += ()\n",
    ),
    Row(
        "closing: a whole grant hides the denies",
        _CLOSING,
        "    if any(grant.is_whole for grant in grants):\n        return denied\n",
        "    if any(grant.is_whole for grant in grants):\n        return ()\n",
    ),
    Row(
        "closing: a grant is passed by too far",
        _CLOSING,
        "when_row(row, jump_past(allowed)) + allowed",
        "when_row(row, jump_past(allowed[1:])) + allowed",
    ),
    Row(
        "closing: the grants of a call are forgotten", _CLOSING, "    return denied + allowed\n", "    return denied + refused\n"
    ),
    Row(
        "closing: only the profile's wall is asked",
        _CLOSING,
        "        for wall in settings.walls:\n            verdict +=",
        "        for wall in settings.walls[:1]:\n            verdict +=",
    ),
    Row(
        "closing: every call answers the default",
        _CLOSING,
        "refused = refuse(settings.errno_of(call))",
        "refused = refuse(settings.default_errno)",
    ),
    Row("closing: the loading call is not decided", _CLOSING, "} | {LOADING_CALL}", "}"),
    Row(
        "closing: unknown numbers answer EPERM",
        _CLOSING,
        "program += when_within(low, high, refuse(int(Errno.ENOSYS)))",
        "program += when_within(low, high, refuse(int(Errno.EPERM)))",
    ),
    Row(
        "closing: what is not mentioned is refused",
        _CLOSING,
        "return encode(program + answer(bpf.RET_ALLOW))",
        "return encode(program + refuse(settings.default_errno))",
    ),
    Row(
        "assembly: a range leaves its last value out",
        _ASSEMBLY,
        "Instruction(bpf.JMP_JGT_K, len(then), 0, high), *then)",
        "Instruction(bpf.JMP_JGE_K, len(then), 0, high), *then)",
    ),
    Row(
        "assembly: a range leaves its first value out",
        _ASSEMBLY,
        "(Instruction(bpf.JMP_JGE_K, 0, len(then) + 1, low),",
        "(Instruction(bpf.JMP_JGT_K, 0, len(then) + 1, low),",
    ),
    Row("assembly: halves are swapped", _ASSEMBLY, "((0, 0), (32, 4))", "((0, 4), (32, 0))"),
    Row("assembly: masks are dropped", _ASSEMBLY, "masked = () if mask == _HALF else", "masked = () if mask else"),
    Row(
        "assembly: one comparison of several is enough",
        _ASSEMBLY,
        "    for test in reversed(row):\n",
        "    for test in row[:1]:\n",
    ),
    Row(
        "blocks: a block is longer than the range",
        _BLOCKS,
        "if inside == ((prefix, prefix | rest),):",
        "if inside[0][0] == prefix:",
    ),
    Row("blocks: only lower halves are cut", _BLOCKS, "        cut(seen | top, prefix | top)\n", ""),
    Row(
        "blocks: blocks look at all bits",
        _BLOCKS,
        "found.append(Comparison(index, seen, prefix))",
        "found.append(Comparison(index, mask, prefix))",
    ),
    Row(
        "backend: grants that denies take away stay",
        _BACKEND,
        "if not are_included(item.rule, wall.denies_of(item.rule.call)))",
        "if not are_included(item.rule, ()))",
    ),
    Row(
        "backend: denies of parts are covered by the grants",
        _BACKEND,
        "(wall.grants_of(item.rule.call) and not item.rule.is_whole)",
        "(wall.grants_of(item.rule.call) and item.rule.is_whole)",
    ),
    Row(
        "backend: one argument in two ways is said",
        _BACKEND,
        "if len({index for index, _, _ in tests}) < len(tests):",
        "if len({index for index, _, _ in tests}) < 1:",
    ),
)
