"""Rules that came out of an OCI document -> the text of a policy file, read again by the program's own parsers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from sandboxer import __version__
from sandboxer.abi import bpf
from sandboxer.abi.errnos import Errno
from sandboxer.compile.load import load
from sandboxer.compile.schema import vocabulary
from sandboxer.controls import ROOMS
from sandboxer.controls.seccomp.grammar import parse_denies, parse_grants
from sandboxer.controls.seccomp.meaning import LAUNCH_CALLS
from sandboxer.controls.seccomp.rules import ALWAYS, NO_ANSWER, Rule, action_of
from sandboxer.errors import InternalError, Problem, ProfileError
from sandboxer.export.notes import Kind
from sandboxer.export.yaml_rules import write_comment, write_rule
from sandboxer.model.node import Mapping, Node
from sandboxer.model.profile import Kind as FileKind

if TYPE_CHECKING:
    from sandboxer.export.oci_import import Meaning, Spoken

ITEM, FIELD = "    - ", "  "


def is_grant(answer: int) -> bool:
    """A rule with this answer lets calls pass."""
    return answer in (NO_ANSWER, bpf.RET_LOG)


def write_policy(meaning: Meaning, name: str, file: str) -> str:
    """The policy file, with notes and places of the document as comments. Raises: ProfileError if it would be too large."""
    grants = [item for item in meaning.rules if is_grant(item.rule.answer)]
    denies = list(_without_plain_answers(meaning, (item for item in meaning.rules if not is_grant(item.rule.answer))))
    check_launch(meaning, grants, denies)
    lines = [
        *_head(meaning, name, file),
        "seccomp:",
        f"{FIELD}default_errno: {Errno(meaning.default_errno).name}",
        *([f"{FIELD}log: true"] if meaning.is_logged else []),
        *_list("allow", grants, empty="[]"),
        *_list("deny", denies),
        *_answers(meaning),
    ]
    text = "\n".join(lines) + "\n"
    check_text(text, name, grants, denies)
    return text


def _without_plain_answers(meaning: Meaning, denies: Iterable[Spoken]) -> Iterator[Spoken]:
    """The denies without those that are all that is said about a call, and state its error number: these become answers."""
    said = Counter(item.rule.call for item in meaning.rules)
    for item in denies:
        rule = item.rule
        if rule.is_whole and rule.when == ALWAYS and said[rule.call] == 1 and action_of(rule.answer) == bpf.RET_ERRNO:
            meaning.answers[rule.call] = rule.answer & bpf.RET_DATA
        else:
            yield item


def check_launch(meaning: Meaning, grants: Sequence[Spoken], denies: Sequence[Spoken]) -> None:
    """Tell of what a profile that has only this policy could not start with."""
    for call in LAUNCH_CALLS:
        whole = any(item.rule == Rule(call) for item in grants)
        if not whole or any(item.rule.call == call for item in denies):
            what = f"{call} is not allowed in every form; no program starts under this policy alone"
            meaning.note(Kind.NOTE, what, "the launcher loads the filter first, and then becomes the command or ends")


def _head(meaning: Meaning, name: str, file: str) -> Iterator[str]:
    shown = write_comment(file)[2:]
    quoted = shown.replace("\\", "\\\\").replace('"', '\\"')
    yield from ("kind: policy", f"name: {name}", f'description: "The system calls of {quoted}, imported."', "")
    yield f"# Written by sandboxer {__version__} out of {shown}. The numbers are its lines and columns."
    yield "# Arguments are compared in the bits that the kernel looks at."
    for note in meaning.notes:
        yield from (write_comment(line) for line in note.show())
    yield ""


def _list(name: str, items: Sequence[Spoken], empty: str = "") -> Iterator[str]:
    """A field, with a comment ahead of the rules of each entry."""
    if not items:
        yield from [f"{FIELD}{name}: {empty}"] if empty else []
        return
    yield f"{FIELD}{name}:"
    seen: set[Rule] = set()
    last: object = ()
    for item in items:
        if item.rule in seen:
            continue
        seen.add(item.rule)
        if item.entry is not last:
            last = item.entry
            yield write_comment(_origin(item), "    ")
        yield f"{ITEM}{write_rule(item.rule)}"


def _origin(item: Spoken) -> str:
    if item.entry is None:
        return "what no entry is about: the default action"
    place = item.entry.place
    comment = item.entry.comment[:200]
    return f"{place.line}:{place.column}{': ' if comment else ''}{comment}"


def _answers(meaning: Meaning) -> Iterator[str]:
    if meaning.answers:
        yield f"{FIELD}errno:"
    for errno in sorted(set(meaning.answers.values())):
        calls = sorted(call for call, answer in meaning.answers.items() if answer == errno)
        yield f"    {Errno(errno).name}:"
        yield from (f"      - {call}" for call in calls)


# ── the text is what was meant ────────────────────────────────────────────────────────────────────────────────────────


def check_text(text: str, name: str, grants: Iterable[Spoken], denies: Iterable[Spoken]) -> None:
    """Read the text as a policy. Raises: ProfileError if it is too large, InternalError if it says anything else."""
    try:
        profile = load(text.encode(), file=name, words=vocabulary(ROOMS), kind=FileKind.POLICY)
    except ProfileError as error:
        if any("more than" in problem.what or "bytes" in problem.what for problem in error.problems):
            why = error.problems[0].what
            raise ProfileError(Problem("the policy would be too large for a file", why=why)) from error
        raise InternalError([Problem("the policy that was written cannot be read", why=str(error))]) from error
    node = profile.sections["seccomp"]
    for key, parse, items in (("allow", parse_grants, grants), ("deny", parse_denies, denies)):
        said = {item.value for item in parse(found)} if (found := _find(node, key)) else set()
        meant = {item.rule for item in items}
        if said != meant:
            odd = next(iter(said ^ meant))
            raise InternalError(Problem("the policy that was written says something else than was read", why=str(odd)))


def _find(node: Mapping, key: str) -> Node | None:
    return node.get(key)
