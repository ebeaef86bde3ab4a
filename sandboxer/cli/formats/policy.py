"""`sandboxer policy`: what the kernel has to be given once, by root, before a box can be under it."""

from __future__ import annotations

import os

from sandboxer.cli.options import Given, UsageError, did_you_mean, visible
from sandboxer.cli.policies import PROFILE_OPTIONS, print_lines, read_profile_request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandboxer.controls.lsm.apparmor import Label
    from sandboxer.controls.lsm.selinux import Module
    from sandboxer.kernel.obstacle import Obstacle
    from sandboxer.model.host import Host
    from sandboxer.model.policy import Policy
    from sandboxer.run.request import Request

NAME = "policy"
SUMMARY = "Load what profiles need of AppArmor or SELinux into the kernel, or remove it"
USAGE = "install|remove [options] PROFILE..."
ACTIONS = ("install", "remove")
OPTIONS = PROFILE_OPTIONS
NOTES = """
A profile that says `apparmor:` or `selinux:` needs that; for one that says neither it is an AppArmor profile, where the kernel
has that, else a module of SELinux. The name that is printed is a digest of the text: a profile that changes, or other options,
make another one, and to load the same one again changes nothing. An AppArmor profile is gone after a reboot; a module of SELinux
stays. `sandboxer export apparmor PROFILE` and `sandboxer export selinux PROFILE` have the texts. The paths in an AppArmor profile
are those of a box of whoever writes it; an ordinary user's is loaded by
  sandboxer export apparmor PROFILE | sudo apparmor_parser --replace --skip-cache
"""


def run(given: Given) -> int:
    """Make every text first, so that a wrong profile loads none; then load or remove them."""
    action = given.words.pop(0) if given.words else ""
    if action not in ACTIONS:
        found = f"there is no action {visible(action)}" if action else "no action is named"
        raise UsageError(
            found, did_you_mean(action, ACTIONS) or f"sandboxer policy install PROFILE; actions: {', '.join(ACTIONS)}"
        )
    requests = list(_requests(given, action))
    from sandboxer.kernel.probe import probe

    host = probe()
    texts = [(request, item) for request in requests for item in _texts(request, host)]
    for request, item in texts:
        _check_can(action, request, item)
    _perform(action, texts)
    return 0


def _requests(given: Given, action: str) -> Iterator[Request]:
    """A request for each profile that is named. Raises: UsageError for none."""
    words = given.words or [""]
    for word in words:
        given.words = [word] if word else []
        yield read_profile_request(given, f"{NAME} {action}")


def _texts(request: Request, host: Host) -> Iterator[Label | Module]:
    """What a profile needs loaded; where it says nothing, what this kernel could have."""
    from sandboxer.controls.lsm import apparmor, selinux
    from sandboxer.export.apparmor import label_for
    from sandboxer.export.selinux import module_for
    from sandboxer.run.prepare import host_for, resolve_request

    policy = resolve_request(request).policy
    _check_is_ours(request, policy)
    wants_apparmor = apparmor.settings(policy).profile == apparmor.GENERATE
    wants_selinux = selinux.settings(policy).type == selinux.GENERATE
    if not wants_apparmor and not wants_selinux:
        wants_selinux = bool(host.apparmor_problem) and not host.selinux_problem
        wants_apparmor = not wants_selinux
    found = host_for(policy, host)
    if wants_apparmor:
        yield label_for(policy, found)
    if wants_selinux:
        yield module_for(policy, found)


def _check_is_ours(request: Request, policy: Policy) -> None:
    """Raises: ProfileError for a profile whose label is that of others."""
    from sandboxer.controls.lsm import apparmor, selinux
    from sandboxer.errors import Problem, ProfileError

    label = apparmor.settings(policy)
    if label.profile not in (apparmor.NONE, apparmor.GENERATE):
        what = f"{request.profile} is under the AppArmor profile {label.profile}, which is not made here"
        raise ProfileError(Problem(what, where=label.places["profile"], attempt="apparmor_parser --replace FILE"))
    domain = selinux.settings(policy)
    if domain.type not in (selinux.NONE, selinux.GENERATE):
        what = f"{request.profile} is in the SELinux domain {domain.type}, which is not made here"
        raise ProfileError(Problem(what, where=domain.places["type"], attempt="semodule -i FILE"))


def _check_can(action: str, request: Request, item: Label | Module) -> None:
    """Raises: HostError where the kernel has no such module, or the caller is not root."""
    from sandboxer.controls.lsm.selinux import Module
    from sandboxer.errors import HostError, Problem
    from sandboxer.kernel.lsm.apparmor import find_apparmor_obstacle
    from sandboxer.kernel.lsm.selinux import find_selinux_obstacle
    from sandboxer.run.prepare import install_command

    is_module = isinstance(item, Module)
    kinds = "SELinux modules" if is_module else "AppArmor profiles"
    what = f"{kinds} cannot be {'loaded' if action == 'install' else 'removed'}"
    find: Callable[[], Obstacle | None] = find_selinux_obstacle if is_module else find_apparmor_obstacle
    obstacle = find()
    if obstacle is not None:
        raise HostError(Problem(what, why=obstacle.why, attempt=obstacle.mend))
    if os.geteuid() == 0:
        return
    attempt = install_command(request, is_root=False, module=item.name if is_module else "")
    if action == "remove":
        attempt = f"sudo semodule -r {item.name}" if is_module else attempt.replace("--replace --skip-cache", "--remove")
    raise HostError(Problem(what, why="that is for root, and root's boxes show other files", attempt=attempt))


def _perform(action: str, texts: list[tuple[Request, Label | Module]]) -> None:
    """Load or remove, and say what. All modules are loaded at once: that is where semodule's time goes."""
    from pathlib import Path

    from sandboxer.controls.lsm.selinux import SHARED_MODULE, Module, shared_module_path
    from sandboxer.kernel.lsm import apparmor, selinux

    modules = {item.name: item.text for _, item in texts if isinstance(item, Module)}
    if modules and action == "install":
        selinux.load_modules({SHARED_MODULE: Path(shared_module_path()).read_text(), **modules})
    for request, item in texts:
        was_there = True
        if action == "remove":
            was_there = selinux.remove_module(item.name) if isinstance(item, Module) else apparmor.remove_profile(item.name)
        elif not isinstance(item, Module):
            apparmor.load_profile(item.data, item.name)
        print_lines([f"{request.profile}: {item.name}{'' if was_there else ' was not loaded'}"])
