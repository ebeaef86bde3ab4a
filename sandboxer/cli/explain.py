"""`sandboxer explain`: what a profile means in sentences, and the plan for this host, op by op."""

from __future__ import annotations

from sandboxer.cli.options import Given, Option
from sandboxer.cli.policies import JSON, PROFILE_OPTIONS, print_json, print_lines, read_profile_request

NAME = "explain"
SUMMARY = "Print what a profile means, and its plan for this host op by op in words"
USAGE = "[options] NAME"
OPTIONS = (*PROFILE_OPTIONS, Option("--tty", short="-t", help="as in `sandboxer exec`"), JSON)
NOTES = "NAME is the name of a profile or the path of a file. Nothing is started."


def run(given: Given) -> int:
    """Resolve, lower and print."""
    request = read_profile_request(given, NAME)
    from sandboxer.compile.show import explain_plan, explain_policy, plan_data
    from sandboxer.controls import ROOMS
    from sandboxer.kernel.probe import probe
    from sandboxer.run.prepare import host_for, make_plan, resolve_request

    policy = resolve_request(request).policy
    host = host_for(policy, probe())
    plan = make_plan(request, policy, host)
    if given.has(JSON.flag):
        sentences = {room.NAME: list(room.explain(policy.settings[room.NAME])) for room in ROOMS}
        print_json({"sentences": sentences, "plan": plan_data(plan)})
        return 0
    print_lines([f"{policy.name}: {policy.description}", ""])
    print_lines(explain_policy(policy, ROOMS))
    print_lines([""])
    print_lines(explain_plan(plan, host))
    return 0
