"""A path as AppArmor's parser takes it for that path and nothing else."""

from __future__ import annotations

from sandboxer.errors import Problem, ProfileError
from sandboxer.model.place import Place

REFUSED = {"\n": "a newline", "\0": "a NUL", '"': "a quotation mark"}
"""A quoted string of the language ends at the last one, and its lexer counts lines by the first."""
_SPECIAL = frozenset("\\*?[]{}^")
"""What AARE gives a meaning to. A `@{variable}` needs its brace, and a comma separates only inside of braces."""


def quoted(path: str, place: Place | None, *, ending: str = "") -> str:
    """The path in quotation marks, each special character with a backslash; `ending` is a pattern that follows as it is.

    Raises: ProfileError for what no text can hold safely.
    """
    for character, name in REFUSED.items():
        if character in path:
            raise ProfileError(
                Problem(
                    f"{path!r} cannot be said in AppArmor's language",
                    where=place,
                    why=f"there is {name} in it, with which a path could become a rule of its own",
                    attempt="another name for that file",
                )
            )
    return '"' + "".join(f"\\{one}" if one in _SPECIAL else one for one in path) + ending + '"'
