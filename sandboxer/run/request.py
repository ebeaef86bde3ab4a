"""What a caller asks for: a profile, options that widen or narrow it, and the command. The warm path passes here."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandboxer.compile.cache import Entry
    from sandboxer.run.scratch.kept import Kept


class RequestError(ValueError):
    """The request contradicts itself; the text says how, `attempt` what to do instead."""

    def __init__(self, what: str, attempt: str = "") -> None:
        super().__init__(what)
        self.attempt = attempt


class Request:
    """What goes into a plan.

    profile: a name, or the path of a file. options: (flag, value) in the caller's order; the flags are those of `sandboxer exec`.
    values: variables that get a value from the caller (`--env NAME=VALUE`). They are no part of the plan: they may be secrets,
    and the cache and the report must not hold them.
    is_watched: the caller wants to hear of what is refused. Such a plan is compiled anew, since the policy is needed.
    scratch_bytes: how large a directory of its own the run has, where the command starts; 0: it has none.
    kept: the files of the session that it belongs to, where the command starts; None: it belongs to none.
    """

    __slots__ = ("directory", "is_terminal", "is_watched", "kept", "options", "profile", "scratch_bytes", "values")

    def __init__(
        self,
        profile: str = "default",
        *,
        options: Iterable[tuple[str, str]] = (),
        is_terminal: bool = False,
        directory: str = "",
        is_watched: bool = False,
        scratch_bytes: int = 0,
        kept: Kept | None = None,
    ) -> None:
        self.profile = profile
        self.is_terminal = is_terminal
        self.directory = directory
        self.is_watched = is_watched
        self.scratch_bytes = scratch_bytes
        self.kept = kept
        self.values: dict[bytes, bytes] = {}
        pairs: list[tuple[str, str]] = []
        for flag, value in options:
            name, equals, text = value.partition("=")
            if flag == "--env" and equals:
                self.values[name.encode("utf-8", "surrogateescape")] = text.encode("utf-8", "surrogateescape")
                pairs.append((flag, name))
            else:
                pairs.append((flag, value))
        self.options = tuple(dict.fromkeys(pairs))

    def key_parts(self) -> list[str]:
        """Everything of the request that the plan depends on."""
        flat = [text for pair in self.options for text in pair]
        kept = (self.kept.directory, self.kept.shown) if self.kept else ("", "")
        terminal = "terminal" if self.is_terminal else ""
        return [self.profile, self.directory, terminal, str(self.scratch_bytes), *kept, *flat]


class Command:
    """A command and what its sealing needs: arguments, the environment of the caller, values that the caller sets."""

    __slots__ = ("argv", "candidates", "environment")

    def __init__(self, argv: Iterable[str], *, candidates: Iterable[bytes], environment: list[bytes]) -> None:
        self.argv = tuple(argv)
        self.candidates = tuple(candidates)
        self.environment = environment


def make_command(argv: Iterable[str], entry: Entry, caller: dict[bytes, bytes], values: dict[bytes, bytes]) -> Command:
    """The command with its environment under the recipe of an entry, and the files that its name may mean."""
    from sandboxer.compile.seal import find_candidates, make_environment

    words = tuple(argv)
    fixed = [pair.partition(b"=")[::2] for pair in entry.fixed]
    environment = make_environment(caller, entry.passed, (*fixed, *values.items()))
    search_path = next((pair[5:] for pair in environment if pair.startswith(b"PATH=")), b"/usr/local/bin:/usr/bin:/bin")
    name = words[0].encode("utf-8", "surrogateescape")
    candidates = find_candidates(name, search_path)
    if not candidates:
        raise RequestError(f"PATH has no absolute directory to look for {words[0]} in", "give the path of the program")
    return Command(words, candidates=candidates, environment=environment)
