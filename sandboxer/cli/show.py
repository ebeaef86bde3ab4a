"""`sandboxer show`: the resolved policy, with the place of every value."""

from __future__ import annotations

from sandboxer.cli.options import Given
from sandboxer.cli.policies import JSON, PROFILE_OPTIONS, print_json, print_lines, read_profile_request

NAME = "show"
SUMMARY = "Print what a profile says, with the place of every value"
USAGE = "[options] NAME"
OPTIONS = (*PROFILE_OPTIONS, JSON)
NOTES = "NAME is the name of a profile or the path of a file. `sandboxer explain NAME` tells what the profile means here."


def run(given: Given) -> int:
    """Resolve and print."""
    request = read_profile_request(given, NAME)
    from sandboxer.compile.show import policy_data, show_policy
    from sandboxer.controls import ROOMS
    from sandboxer.run.prepare import resolve_request

    policy = resolve_request(request).policy
    if given.has(JSON.flag):
        print_json(policy_data(policy))
    else:
        print_lines(show_policy(policy, ROOMS))
    return 0
