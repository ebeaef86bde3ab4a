"""A mutant: a mistake that somebody could make in a module that filters depend on, as a replacement in its text."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class RottenRow(Exception):
    """The row no longer fits the module: its text is not there exactly once, or what it makes of it is no Python."""


@dataclass(frozen=True, slots=True)
class Row:
    """One mutant. path: below sandboxer/. old: text that is there exactly once. new: what stands there instead."""

    name: str
    path: str
    old: str
    new: str

    @property
    def module(self) -> str:
        """The name by which the module is imported."""
        return "sandboxer." + self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def file(self) -> Path:
        """Where the module is."""
        return ROOT / "sandboxer" / self.path

    def source(self) -> bytes:
        """The module with the mistake. Raises RottenRow."""
        text = self.file.read_text()
        if text.count(self.old) != 1:
            raise RottenRow(f"{self.name}: {self.path} has this {text.count(self.old)} times: {self.old!r}")
        mutated = text.replace(self.old, self.new)
        try:
            changed = ast.dump(ast.parse(text)) != ast.dump(ast.parse(mutated))
        except SyntaxError as error:
            raise RottenRow(f"{self.name}: {error}") from error
        if not changed:
            raise RottenRow(f"{self.name}: nothing but words would change")
        return mutated.encode()
