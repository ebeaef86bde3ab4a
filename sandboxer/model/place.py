"""Where a value was written: file, line, column and the text of that line.

Every value keeps its place from the YAML file to the launcher's error record, so that an error in the last stage can
still point a caret at the first. A value given on the command line has a place too.
"""

from __future__ import annotations

from dataclasses import dataclass

COMMAND_LINE = "command line"
BUILT_IN = "built in"
EXCERPT_WIDTH = 160


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a source text. `line` and `column` count from 1; `text` is the whole line, without newline."""

    file: str
    line: int = 0
    column: int = 0
    text: str = ""

    def show(self) -> str:
        """`file:line:column`, or only the file where there is no line."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def excerpt(self) -> str:
        """The line, or the part of a long one, and a caret under the column; empty where there is no text.

        What cannot be printed is shown as `?`.
        """
        if not self.text:
            return ""
        number = str(self.line) if self.line else ""
        margin = " " * len(number)
        visible = "".join(c if c.isprintable() else "?" for c in self.text.expandtabs(1))
        column = max(self.column - 1, 0)
        if len(visible) > EXCERPT_WIDTH:
            start = min(max(column - EXCERPT_WIDTH // 2, 0), len(visible) - EXCERPT_WIDTH)
            part = visible[start : start + EXCERPT_WIDTH]
            before, after = "..." if start else "", "..." if start + len(part) < len(visible) else ""
            visible, column = f"{before}{part}{after}", column - start + len(before)
        caret = " " * column + "^"
        return f"  {number} | {visible}\n  {margin} | {caret}"


def option_place(option: str, argument: str = "") -> Place:
    """The place of a value given as a command-line option."""
    text = f"{option} {argument}".strip()
    return Place(COMMAND_LINE, 0, len(option) + 2 if argument else 1, text)


def built_in(what: str) -> Place:
    """The place of a strict default that no file states."""
    return Place(f"{BUILT_IN}: {what}")
