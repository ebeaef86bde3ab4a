"""Options as rows, and the parser and the help pages that are made from them.

A verb is a module with NAME, SUMMARY, USAGE, OPTIONS and `run(given) -> int`. The warm path of `exec` passes here, so nothing
heavy may be imported at the top.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Protocol

    class Verb(Protocol):
        """What a verb's module has. USAGE is what stands after `sandboxer NAME`; NOTES is the end of its help page."""

        NAME: str
        SUMMARY: str
        USAGE: str
        OPTIONS: tuple[Option, ...]
        NOTES: str

        def run(self, given: Given) -> int: ...


USAGE_ERROR = 2
HELP_COLUMN = 30
PAGE_WIDTH = 100


class UsageError(Exception):
    """The command line is wrong; the text says how, `attempt` what to type instead."""

    def __init__(self, what: str, attempt: str = "") -> None:
        super().__init__(what)
        self.attempt = attempt


class Option:
    """One row: `--flag`, a short letter, the word for its value (empty: a switch), and one line of help."""

    __slots__ = ("flag", "help", "metavar", "repeatable", "short")

    def __init__(self, flag: str, metavar: str = "", *, help: str, short: str = "", repeatable: bool = False) -> None:
        self.flag = flag
        self.metavar = metavar
        self.help = help
        self.short = short
        self.repeatable = repeatable

    def show(self) -> str:
        """`-p, --profile NAME`, as the help page has it."""
        value = f" {self.metavar}" if self.metavar else ""
        return f"{self.short + ', ' if self.short else '    '}{self.flag}{value}"


HELP = Option("--help", short="-h", help="show this page and exit")


class Given:
    """What was given: options in the order of the command line, and the words that are not options."""

    __slots__ = ("command", "has_separator", "options", "words")

    def __init__(self) -> None:
        self.options: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.command: list[str] = []
        self.has_separator = False

    def has(self, flag: str) -> bool:
        """The switch or option was given."""
        return any(name == flag for name, _ in self.options)

    def all(self, flag: str) -> list[str]:
        """Every value of a repeatable option."""
        return [value for name, value in self.options if name == flag]

    def one(self, flag: str, default: str = "") -> str:
        """The value of an option that may be given once."""
        values = self.all(flag)
        return values[-1] if values else default


def parse_options(rows: Sequence[Option], arguments: Sequence[str], *, takes_command: bool = False) -> Given:
    """Read the arguments of a verb. Options end at `--` or, for a verb that takes a command, at its first word.

    Raises: UsageError for an unknown option, a missing or unwanted value, or an option given twice.
    """
    known = {name: row for row in (*rows, HELP) for name in (row.flag, row.short) if name}
    given = Given()
    left = list(arguments)
    while left:
        argument = left.pop(0)
        if argument == "--":
            given.has_separator = True
            given.command = left
            break
        if not argument.startswith("-") or argument == "-":
            given.words.append(argument)
            if takes_command:
                given.words += left
                break
            continue
        row, value = _read_option(known, argument, left)
        if not row.repeatable and row.metavar and given.has(row.flag):
            raise UsageError(f"{row.flag} was given twice", "give it once")
        given.options.append((row.flag, value))
    return given


def _read_option(known: dict[str, Option], argument: str, left: list[str]) -> tuple[Option, str]:
    """One option and its value, which may be the next argument (then taken from `left`)."""
    name, equals, value = argument.partition("=")
    row = known.get(name)
    if row is None and not argument.startswith("--") and len(argument) > 2:
        row = known.get(argument[:2])
        if row is not None and row.metavar:
            return row, argument[2:]
        row = None
    if row is None:
        raise UsageError(f"there is no option {visible(name)}", did_you_mean(name, known))
    if not row.metavar:
        if equals:
            raise UsageError(f"{row.flag} takes no value", f"write {row.flag} alone")
        return row, ""
    if equals:
        return row, value
    if not left or left[0] == "--":
        raise UsageError(f"{row.flag} needs a value", f"write {row.flag} {row.metavar}")
    return row, left.pop(0)


def did_you_mean(word: str, table: Iterable[str]) -> str:
    """Advice that names the nearest words; empty where nothing is near."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(table), n=2, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else ""


def visible(text: str) -> str:
    """Text from outside, safe for a terminal: whatever is not printable is shown as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def show_help(verb: Verb) -> str:
    """The help page of a verb, made from its rows."""
    lines = [f"usage: sandboxer {verb.NAME} {verb.USAGE}".rstrip(), "", f"{verb.SUMMARY}.", "", "options:"]
    for row in (*verb.OPTIONS, HELP):
        head = f"  {row.show()}"
        text = f"{row.help} (may be repeated)" if row.repeatable else row.help
        if len(head) >= HELP_COLUMN - 1:
            lines.append(head)
            head = ""
        wrapped = wrap(text, PAGE_WIDTH - HELP_COLUMN)
        lines.append(f"{head:<{HELP_COLUMN}}{wrapped[0]}")
        lines += [" " * HELP_COLUMN + line for line in wrapped[1:]]
    notes = verb.NOTES.strip("\n")
    return "\n".join([*lines, *(["", notes] if notes else [])])


def wrap(text: str, width: int) -> list[str]:
    """Break text into lines at spaces."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
