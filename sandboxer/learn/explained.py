"""A run whose denials explain themselves: compiled anew, watched, and its ledger met with the policy when it has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Generic

from sandboxer.compile.cache import Entry
from sandboxer.compile.in_place.monitored import wants_no_box
from sandboxer.compile.lower import make_scene
from sandboxer.controls import landlock, seccomp
from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.kernel.audit.avc import ContextRefusal, ProfileRefusal
from sandboxer.learn.denials import explain_denials, explain_one, find_groups
from sandboxer.learn.labels.apparmor import explain_apparmor, find_label, find_label_name
from sandboxer.learn.labels.selinux import explain_selinux, find_context, find_domain, type_of
from sandboxer.learn.landlock import explain_landlock, find_walls
from sandboxer.learn.patch import Patch
from sandboxer.learn.witness import PolicyWitness
from sandboxer.model.op import LandlockRestrict
from sandboxer.model.plan import Plan
from sandboxer.model.result import Denial, LabelDenial, LabelDenials, LandlockDenial, LandlockDenials, Result
from sandboxer.run.hearing.hearing import Hearing, open_hearing
from sandboxer.run.hearing.labels import LabelHearing, open_label_hearing
from sandboxer.run.hearing.listening import UnheardError
from sandboxer.run.hearing.refused import RefusedLedger
from sandboxer.run.hearing.whose import Label, OfContext, OfProfile, T
from sandboxer.run.ledger import Refusal
from sandboxer.run.live.running import Running
from sandboxer.run.prepare import Compiled, compile_request
from sandboxer.run.request import Request
from sandboxer.run.scoped import Ask
from sandboxer.run.start import Job, begin
from sandboxer.run.streams import Sink
from sandboxer.run.watch import Watch, open_watch

Tell = Callable[[Callable[[], Denial]], None]
Rows = list[tuple[LabelDenial, Patch]]


@dataclass(frozen=True, slots=True)
class Ear(Generic[T]):
    """Who hears of what a label refuses, if that can be heard; unheard: why not. name: of the label."""

    name: str
    hearing: LabelHearing[T] | None
    unheard: str = ""

    def finish(self, explain: Callable[[RefusedLedger[T]], Rows]) -> tuple[LabelDenials, Rows]:
        """What was heard when the box has ended, and what would allow that."""
        if not self.hearing:
            return LabelDenials(self.name, unheard=self.unheard), []
        self.hearing.finish()
        ledger, rows = self.hearing.ledger, explain(self.hearing.ledger)
        return LabelDenials(self.name, tuple(row for row, _ in rows), ledger.others, losses=tuple(self.hearing.losses)), rows


@dataclass(frozen=True, slots=True)
class Explained:
    """A compiled request and the watch over its run. hearing: of what Landlock refuses; unheard: why there is none.

    apparmor, selinux: the ears for what its labels refuse; None where it has none.
    """

    compiled: Compiled
    settings: Settings
    watch: Watch
    hearing: Hearing | None = None
    unheard: str = ""
    apparmor: Ear[ProfileRefusal] | None = None
    selinux: Ear[ContextRefusal] | None = None

    @property
    def entry(self) -> Entry:
        """The plan to run."""
        return self.compiled.entry

    def add_denials(self, result: Result) -> Result:
        """The result, with what the run was refused."""
        made = self.compiled
        walls, rows = self._explain_landlock()
        profile, of_profile = self._explain_apparmor()
        domain, of_domain = self._explain_selinux()
        more = [*((patch, row.risk) for row, patch in rows), *((patch, row.risk) for row, patch in (*of_profile, *of_domain))]
        found = explain_denials(self.watch.ledger, made.policy, self.settings, made.host.arch, more=more)
        return replace(result, denials=replace(found, landlock=walls, apparmor=profile, selinux=domain))

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

    def _explain_apparmor(self) -> tuple[LabelDenials | None, Rows]:
        """What its AppArmor profile refused, and what would allow that; None where the box has none."""
        made = self.compiled
        if not self.apparmor:
            return None, []
        return self.apparmor.finish(lambda heard: explain_apparmor(heard, find_label(made.policy, made.host, made.plan)))

    def _explain_selinux(self) -> tuple[LabelDenials | None, Rows]:
        """The same of its SELinux domain."""
        made = self.compiled
        if not self.selinux:
            return None, []
        return self.selinux.finish(lambda heard: explain_selinux(heard, find_domain(made.policy, made.host, made.plan)))


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
        profile, context = find_label_name(compiled.plan), find_context(compiled.plan)
        apparmor = open_ear(opened, profile, OfProfile(profile.encode())) if profile else None
        domain = OfContext(context, compiled.host.is_permissive)
        selinux = open_ear(opened, type_of(context), domain) if context else None
        ears = (ear.hearing for ear in (apparmor, selinux) if ear)
        hearings = tuple(found for found in (hearing, *ears) if found)
        watch = opened.enter_context(open_watch(PolicyWitness(settings, compiled.host.arch), hearings))
        yield Explained(compiled, settings, watch, hearing, unheard, apparmor, selinux)


def open_ear(opened: ExitStack, name: str, label: Label[T]) -> Ear[T]:
    """Listen from now on, if that can be."""
    try:
        return Ear(name, opened.enter_context(open_label_hearing(label)))
    except UnheardError as error:
        return Ear(name, None, str(error))


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
