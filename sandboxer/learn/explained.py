"""A run whose denials explain themselves: compiled anew, watched, and its ledger met with the policy when it has ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sandboxer.compile.cache import Entry
from sandboxer.compile.lower import make_scene
from sandboxer.controls import seccomp
from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.learn.denials import explain_denials
from sandboxer.learn.witness import PolicyWitness
from sandboxer.model.result import Result
from sandboxer.run.prepare import Compiled, compile_request
from sandboxer.run.request import Request
from sandboxer.run.start import run_entry
from sandboxer.run.watch import Watch, open_watch


@dataclass(frozen=True, slots=True)
class Explained:
    """A compiled request and the watch over its run."""

    compiled: Compiled
    settings: Settings
    watch: Watch

    @property
    def entry(self) -> Entry:
        """The plan to run."""
        return self.compiled.entry

    def add_denials(self, result: Result) -> Result:
        """The result, with what the run was refused."""
        made = self.compiled
        return replace(result, denials=explain_denials(self.watch.ledger, made.policy, self.settings, made.host.arch))


@contextmanager
def open_explained(request: Request) -> Iterator[Explained]:
    """Compile a request whose `is_watched` is set, and watch over the run of it. Raises: ProfileError, HostError."""
    compiled = compile_request(request)
    scene = make_scene(compiled.policy, compiled.host)
    settings = seccomp.settings(compiled.policy).at(seccomp.situation(scene))
    with open_watch(PolicyWitness(settings, compiled.host.arch)) as watch:
        yield Explained(compiled, settings, watch)


def run_explained(
    request: Request, argv: Sequence[str], *, stdin: bytes | None = None, max_output_bytes: int | None = None
) -> Result:
    """Run and wait; the denials are in the result. Raises: as `run_captured`."""
    with open_explained(request) as explained:
        result = run_entry(request, explained.entry, argv, stdin=stdin, max_output_bytes=max_output_bytes, watch=explained.watch)
        return explained.add_denials(result)
