"""The ledger of a run, met with its policy: each refusal with its name, its reason, and what would allow it."""

from __future__ import annotations

from collections.abc import Iterable

from sandboxer.abi import bpf
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.compile.resolve import syscall_groups
from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.controls.seccomp.rules import find_arguments
from sandboxer.kernel.explain import errno_name
from sandboxer.learn.blame import find_blame
from sandboxer.learn.groups import Groups
from sandboxer.learn.patch import Patch, home_of, make_patch
from sandboxer.learn.quote import printable
from sandboxer.learn.risk import Judgement, judge
from sandboxer.learn.together import join_patches
from sandboxer.learn.witness import FOREIGN, find_call
from sandboxer.model.policy import Policy
from sandboxer.model.result import Denial, DenialArgument, Denials, Risk
from sandboxer.run.ledger import Ledger, Refusal

_FOREIGN_RULE = "calls for another architecture or ABI than the machine's own end the process, always"
_UNNAMED_RULE = "no call of this number is known here, and it answers as in a kernel that does not have it"


FALL_BACK = "nothing, if the job works: after ENOSYS libraries take an older call; else "
NO_PATCH = Patch("", "")
SEE_ABOVE = Patch("", "the same as for the other uses of this call, with their own arguments")


def explain_denials(
    ledger: Ledger, policy: Policy, settings: Settings, arch: str, *, more: Iterable[tuple[Patch, Risk]] = ()
) -> Denials:
    """Every refused call of a run, explained. settings: those of the policy for the machine that it ran on.

    more: patches for what else was refused, each with its risk, to stand in the patch of all.
    """
    # Files are read for this, and only if there is something to explain.
    groups = Groups(syscall_groups() if ledger.refusals else {}, settings)
    explained = [_explain(refusal, policy, settings, arch, groups) for refusal in ledger.refusals]
    # What answers ENOSYS has an older call to fall back on.
    needed = ((patch, row.risk) for row, patch in explained if row.answer != "ENOSYS")
    whole = join_patches(policy, (*needed, *more))
    return Denials(tuple(row for row, _ in explained), ledger.others, whole.yaml, whole.attempt)


def find_groups(settings: Settings) -> Groups:
    """What the groups of system calls would allow beyond these settings. Files are read for it."""
    return Groups(syscall_groups(), settings)


def explain_one(refusal: Refusal, policy: Policy, settings: Settings, arch: str, groups: Groups) -> Denial:
    """One refused call of a run that goes on, explained. The count is that of now."""
    return _explain(refusal, policy, settings, arch, groups)[0]


def _explain(refusal: Refusal, policy: Policy, settings: Settings, arch: str, groups: Groups) -> tuple[Denial, Patch]:
    use = refusal.use
    call = find_call(use.arch, use.number, arch)
    if call is None:
        return _unknown(refusal, arch), NO_PATCH
    blames = find_blame(settings, call, arch, use.arguments)
    patch = SEE_ABOVE if refusal.is_rest else make_patch(policy, blames, call, arch, use.arguments)
    own = blames[0] if blames else None
    is_missing = len(blames) == 1 and not blames[0].is_layer and not blames[0].denies
    is_shown = is_missing and not refusal.is_rest
    group, calls = groups.find(call, arch, use.arguments) if is_shown else ("", ())
    judgement = judge(call, arch, use.arguments)
    answer = _answer(refusal.verdict)
    denial = Denial(
        call=call,
        number=use.number,
        arch=arch,
        arguments=_arguments(refusal, call, arch),
        count=refusal.count,
        is_rest=refusal.is_rest,
        pid=refusal.pid,
        process=printable(refusal.name.decode("utf-8", "backslashreplace")),
        answer=answer,
        rule="; ".join(blame.words for blame in blames) or "the policy gives no reason",
        place=None if own is None else own.place if own.denies or own.is_layer else home_of(policy),
        patch=patch.yaml,
        attempt=(FALL_BACK if answer == "ENOSYS" and patch.attempt else "") + patch.attempt,
        group=group,
        group_calls=calls,
        risk=judgement.risk,
        risk_why=judgement.why,
    )
    return denial, patch


def _unknown(refusal: Refusal, arch: str) -> Denial:
    """A call without a name on this machine: of another architecture, of x32, or newer than the table."""
    use = refusal.use
    is_killed = refusal.verdict & bpf.RET_ACTION != bpf.RET_ERRNO
    foreign = FOREIGN.get(use.arch, f"architecture {use.arch:#x}")
    names = NUMBERS.get(foreign, {})
    if use.arch == bpf.AUDIT_ARCH["x86_64"] == bpf.AUDIT_ARCH[arch] and use.number & bpf.X32_BIT:
        foreign, names = "x32", {name: number | bpf.X32_BIT for name, number in NUMBERS["x32"].items()}
    is_own = foreign == arch
    name = next((name for name, number in names.items() if number == use.number), f"call {use.number}")
    judgement = Judgement(
        Risk.UNKNOWN if is_own else Risk.HIGH,
        "it may be anything that a newer kernel can do"
        if is_own
        else "the rules are written for the calls of this machine; another ABI is a way around them",
    )
    return Denial(
        call=name if is_own else f"{foreign} {name}",
        number=use.number,
        arch=foreign,
        arguments=_arguments(refusal, "", arch),
        count=refusal.count,
        is_rest=refusal.is_rest,
        pid=refusal.pid,
        process=printable(refusal.name.decode("utf-8", "backslashreplace")),
        answer=_answer(refusal.verdict),
        rule=_FOREIGN_RULE if is_killed else _UNNAMED_RULE,
        place=None,
        patch="",
        attempt="a program built for this machine" if is_killed else "nothing: programs fall back to an older call",
        group="",
        group_calls=(),
        risk=judgement.risk,
        risk_why=judgement.why,
    )


def _answer(verdict: int) -> str:
    """What the caller got: the name of an errno, or its end."""
    match verdict & bpf.RET_ACTION:
        case bpf.RET_ERRNO:
            return errno_name(verdict & bpf.RET_DATA) if verdict & bpf.RET_DATA else "0"
        case bpf.RET_USER_NOTIF:
            return "ENOSYS"
        case bpf.RET_ALLOW | bpf.RET_LOG:
            return "EPERM"
        case _:
            return "killed"


def _arguments(refusal: Refusal, call: str, arch: str) -> tuple[DenialArgument, ...]:
    known = find_arguments(call, arch) if call else None
    values = refusal.use.arguments
    names = ["" for _ in values] if known is None else [argument.name for argument in known]
    return tuple(DenialArgument(*row) for row in zip(names, values, refusal.use.texts, strict=False))
