"""A run whose denials explain themselves: compiled anew, watched, and its ledger met with the policy when it has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial

from sandboxer.compile.cache import Entry
from sandboxer.compile.in_place.monitored import wants_no_box
from sandboxer.compile.lower import make_scene
from sandboxer.controls import landlock, seccomp
from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.kernel.audit.avc import ProfileRefusal
from sandboxer.learn.denials import explain_denials, explain_one, find_groups
from sandboxer.learn.labels.apparmor import explain_apparmor, find_label, find_label_name
from sandboxer.learn.landlock import explain_landlock, find_walls
from sandboxer.learn.patch import Patch
from sandboxer.learn.witness import PolicyWitness
from sandboxer.model.op import LandlockRestrict
from sandboxer.model.plan import Plan
from sandboxer.model.result import Denial, LabelDenial, LabelDenials, LandlockDenial, LandlockDenials, Result
from sandboxer.run.hearing.hearing import Hearing, open_hearing
from sandboxer.run.hearing.labels import LabelHearing, open_label_hearing
from sandboxer.run.hearing.listening import UnheardError
from sandboxer.run.hearing.whose import OfProfile
from sandboxer.run.ledger import Refusal
from sandboxer.run.live.running import Running
from sandboxer.run.prepare import Compiled, compile_request
from sandboxer.run.request import Request
from sandboxer.run.scoped import Ask
from sandboxer.run.start import Job, begin
from sandboxer.run.streams import Sink
from sandboxer.run.watch import Watch, open_watch

Tell = Callable[[Callable[[], Denial]], None]


@dataclass(frozen=True, slots=True)
class Explained:
    """A compiled request and the watch over its run. hearing: of what Landlock refuses; unheard: why there is none.

    label_hearing, label_unheard: the same of what its label refuses.
    """

    compiled: Compiled
    settings: Settings
    watch: Watch
    hearing: Hearing | None = None
    unheard: str = ""
    label_hearing: LabelHearing[ProfileRefusal] | None = None
    label_unheard: str = ""

    @property
    def entry(self) -> Entry:
        """The plan to run."""
        return self.compiled.entry

    def add_denials(self, result: Result) -> Result:
        """The result, with what the run was refused."""
        made = self.compiled
        walls, rows = self._explain_landlock()
        label, labelled = self._explain_label()
        more = [*((patch, row.risk) for row, patch in rows), *((patch, row.risk) for row, patch in labelled)]
        found = explain_denials(self.watch.ledger, made.policy, self.settings, made.host.arch, more=more)
        return replace(result, denials=replace(found, landlock=walls, apparmor=label))

    def make_explainer(self) -> Callable[[Refusal], Denial]:
        """What explains one refused call while the run goes on. Files are read for it when there is a first one."""
        groups = cache(lambda: find_groups(self.settings))
        made = self.compiled
        return lambda refusal: explain_one(refusal, made.policy, self.settings, made.host.arch, groups())

    def _explain_landlock(self) -> tuple[LandlockDenials | None, list[tuple[LandlockDenial, Patch]]]:
        """What its walls refused, and what would allow that; None where the box has none."""
        made, hearing = self.compiled, self.hearing
        if not has_walls(made.plan):
            return None, []
        if not hearing:
            return LandlockDenials(unheard=self.unheard), []
        hearing.finish()
        rows = explain_landlock(hearing.ledger, find_walls(made.policy, landlock.settings(made.policy), made.plan))
        return LandlockDenials(tuple(row for row, _ in rows), hearing.ledger.others, losses=tuple(hearing.losses)), rows

    def _explain_label(self) -> tuple[LabelDenials | None, list[tuple[LabelDenial, Patch]]]:
        """What its AppArmor profile refused, and what would allow that; None where the box has none."""
        made, hearing = self.compiled, self.label_hearing
        name = find_label_name(made.plan)
        if not name:
            return None, []
        if not hearing:
            return LabelDenials(name, unheard=self.label_unheard), []
        hearing.finish()
        rows = explain_apparmor(hearing.ledger, find_label(made.policy, made.host, made.plan))
        return LabelDenials(name, tuple(row for row, _ in rows), hearing.ledger.others, losses=tuple(hearing.losses)), rows


def has_walls(plan: Plan) -> bool:
    """Whether the command enters a Landlock domain."""
    return any(isinstance(step.op, LandlockRestrict) for step in plan.inside)


@contextmanager
def open_explained(request: Request, *, ask: Ask | None = None) -> Iterator[Explained]:
    """Compile a request whose `is_watched` is set, and watch over the run of it. ask: as in `compile_request`.

    Raises: ProfileError, HostError.
    """
    compiled = compile_request(request, ask=ask)
    scene = make_scene(compiled.policy, compiled.host)
    settings = seccomp.settings(compiled.policy)
    if wants_no_box(compiled.policy, compiled.host):
        settings = seccomp.without_box(settings, compiled.policy.traits)
    settings = settings.at(seccomp.situation(scene))
    with ExitStack() as opened:
        hearing, unheard = None, compiled.host.unheard
        if has_walls(compiled.plan) and not unheard:
            try:
                hearing = opened.enter_context(open_hearing())
            except UnheardError as error:
                unheard = str(error)
        label_hearing, label_unheard = None, ""
        if name := find_label_name(compiled.plan):
            try:
                label_hearing = opened.enter_context(open_label_hearing(OfProfile(name.encode())))
            except UnheardError as error:
                label_unheard = str(error)
        hearings = tuple(found for found in (hearing, label_hearing) if found)
        watch = opened.enter_context(open_watch(PolicyWitness(settings, compiled.host.arch), hearings))
        yield Explained(compiled, settings, watch, hearing, unheard, label_hearing, label_unheard)


def begin_explained(job: Job, *, sink: Sink | None = None, tell: Tell | None = None) -> Running:
    """Start a job whose request `is_watched`; the denials are in its result.

    tell: hears of each new kind of refusal at once, and gets what explains it. Raises: as `run_job`.
    """
    with ExitStack() as opened:
        explained = opened.enter_context(open_explained(job.request))
        if tell:
            explain = explained.make_explainer()
            explained.watch.tell = lambda row: tell(partial(explain, row))
        running = begin(job, entry=explained.entry, watch=explained.watch, sink=sink)
        running.complete = explained.add_denials
        running.opened.push(opened.pop_all())
        return running
