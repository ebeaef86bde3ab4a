"""`sandboxer policy`: what the kernel has to be given once, by root, before a box can be under it."""

from __future__ import annotations

import os

from sandboxer.cli.options import Given, UsageError, did_you_mean, visible
from sandboxer.cli.policies import PROFILE_OPTIONS, print_lines, read_profile_request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.controls.lsm.apparmor import Label
    from sandboxer.run.request import Request

NAME = "policy"
SUMMARY = "Load the AppArmor profiles of profiles into the kernel, or remove them"
USAGE = "install|remove [options] PROFILE..."
ACTIONS = ("install", "remove")
OPTIONS = PROFILE_OPTIONS
NOTES = """
The name that is printed is a digest of the text: a profile that changes, or other options, make another one, and to load the
same one again changes nothing. What is loaded is gone after a reboot. `sandboxer export apparmor PROFILE` has the text, whose
paths are those of a box of whoever writes it; an ordinary user's is loaded by
  sandboxer export apparmor PROFILE | sudo apparmor_parser --replace --skip-cache
"""


def run(given: Given) -> int:
    """Make every label first, so that a wrong profile loads none; then load or remove them."""
    action = given.words.pop(0) if given.words else ""
    if action not in ACTIONS:
        found = f"there is no action {visible(action)}" if action else "no action is named"
        raise UsageError(
            found, did_you_mean(action, ACTIONS) or f"sandboxer policy install PROFILE; actions: {', '.join(ACTIONS)}"
        )
    requests = list(_requests(given, action))
    labels = [(request, _label(request)) for request in requests]
    _check_can(action, requests[0])
    from sandboxer.kernel.lsm.apparmor import load_profile, remove_profile

    for request, label in labels:
        if action == "install":
            load_profile(label.data, label.name)
            print_lines([f"{request.profile}: {label.name}"])
        else:
            was_there = remove_profile(label.name)
            print_lines([f"{request.profile}: {label.name}{'' if was_there else ' was not loaded'}"])
    return 0


def _requests(given: Given, action: str) -> Iterator[Request]:
    """A request for each profile that is named. Raises: UsageError for none."""
    words = given.words or [""]
    for word in words:
        given.words = [word] if word else []
        yield read_profile_request(given, f"{NAME} {action}")


def _label(request: Request) -> Label:
    from sandboxer.controls.lsm import apparmor
    from sandboxer.errors import Problem, ProfileError
    from sandboxer.export.apparmor import label_for
    from sandboxer.kernel.probe import probe
    from sandboxer.run.prepare import host_for, resolve_request

    policy = resolve_request(request).policy
    said = apparmor.settings(policy)
    if said.profile not in (apparmor.NONE, apparmor.GENERATE):
        what = f"{request.profile} is under the AppArmor profile {said.profile}, which is not made here"
        raise ProfileError(Problem(what, where=said.places["profile"], attempt="apparmor_parser --replace FILE"))
    return label_for(policy, host_for(policy, probe()))


def _check_can(action: str, request: Request) -> None:
    """Raises: HostError where there is no AppArmor, or the caller is not root."""
    from sandboxer.errors import HostError, Problem
    from sandboxer.kernel.lsm.apparmor import find_apparmor_obstacle

    what = f"AppArmor profiles cannot be {'loaded' if action == 'install' else 'removed'}"
    obstacle = find_apparmor_obstacle()
    if obstacle is not None:
        raise HostError(Problem(what, why=obstacle.why, attempt=obstacle.mend))
    if os.geteuid() != 0:
        from sandboxer.run.prepare import install_command

        attempt = install_command(request, is_root=False)
        if action == "remove":
            attempt = attempt.replace("--replace --skip-cache", "--remove")
        raise HostError(Problem(what, why="that is for root, and root's boxes show other files", attempt=attempt))
