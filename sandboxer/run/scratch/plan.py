"""What a run's own directory is in a policy and in a plan: one more tmpfs, where the command starts, and its hand-over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sandboxer.controls.filesystem.fields import Tmpfs
from sandboxer.controls.filesystem.settings import Placed, Settings
from sandboxer.controls.paths import covers
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.op import HandOver, MountFilesystem, PivotRoot, Text
from sandboxer.model.place import Place, built_in
from sandboxer.model.plan import Plan, Step
from sandboxer.model.policy import Policy
from sandboxer.model.stage import Stage

PATH = "/box"
"""Where it is in every box."""
PLACE = built_in("the run's own directory")


def with_scratch(policy: Policy, size_bytes: int) -> Policy:
    """The policy with the directory in it. Raises: ProfileError where the profile has something else at its path."""
    settings = policy.settings["filesystem"]
    if not isinstance(settings, Settings):
        return policy
    check_free(settings)
    own = Placed(Tmpfs(PATH, size_bytes, 0o700), PLACE)
    changed = replace(settings, tmpfs=(*settings.tmpfs, own), working_directory=Placed(PATH, PLACE))
    return replace(policy, settings={**policy.settings, "filesystem": changed})


def check_free(settings: Settings) -> None:
    """Raises: ProfileError where the profile has something at the path."""
    problems = [
        Problem(
            f"{path} is where a run with `files` or `collect` has its own directory",
            where=place,
            attempt=f"another path; {PATH} is taken in such a run",
        )
        for path, place in _taken(settings)
        if covers(PATH, path)
    ]
    if problems:
        raise ProfileError(problems)


def _taken(settings: Settings) -> Iterator[tuple[str, Place]]:
    yield from ((grant.value.path, grant.place) for _, grant in settings.grants)
    yield from ((item.value.target, item.place) for item in settings.mounts)
    for made in (settings.overlay, settings.tmpfs, settings.files, settings.symlinks):
        yield from ((item.value.path, item.place) for item in made)
    for denied in (settings.hide, settings.read_only):
        yield from ((item.value, item.place) for item in denied)


def hand_over(plan: Plan) -> Plan:
    """The plan with the step that gives us the directory, when all is mounted. Raises: ProfileError where nothing is."""
    mounted = any(isinstance(step.op, MountFilesystem) and step.op.path == PATH for step in plan.inside)
    if not mounted:
        why = "its files are those of a mount namespace that the profile joins"
        raise ProfileError(Problem("the run cannot have a directory of its own", why=why, attempt="a profile with new mounts"))
    pivot = next(number for number, step in enumerate(plan.inside) if isinstance(step.op, PivotRoot))
    step = Step(HandOver(Text(PATH)), Stage.SEAL, "filesystem", PLACE)
    return replace(plan, inside=(*plan.inside[:pivot], step, *plan.inside[pivot:]))
