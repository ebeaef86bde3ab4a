"""`sandboxer explain`: what a profile means in sentences, and the plan for this host, op by op."""

from __future__ import annotations

from sandboxer.cli.options import Given, Option
from sandboxer.cli.policies import JSON, PROFILE_OPTIONS, print_json, print_lines, read_profile_request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandboxer.controls.seccomp.stack import Filter
    from sandboxer.model.host import Host
    from sandboxer.model.policy import Policy
    from sandboxer.verify.annotate import Row

NAME = "explain"
SUMMARY = "Print what a profile means, and its plan for this host op by op in words"
USAGE = "[options] NAME"
BPF = Option("--bpf", help="print the system call filters instead, instruction by instruction, with the place of each branch")
OPTIONS = (*PROFILE_OPTIONS, Option("--tty", short="-t", help="as in `sandboxer exec`"), BPF, JSON)
NOTES = "NAME is the name of a profile or the path of a file. Nothing is started."


def run(given: Given) -> int:
    """Resolve, lower and print."""
    request = read_profile_request(given, NAME)
    from sandboxer.compile.show import explain_plan, explain_policy, plan_data
    from sandboxer.controls import ROOMS
    from sandboxer.run.prepare import host_for, make_plan, resolve_request
    from sandboxer.run.scoped import ask_for_scope, probe_in_scope

    policy = resolve_request(request).policy
    host = host_for(policy, probe_in_scope(ask_for_scope))
    if given.has(BPF.flag):
        return _print_filters(given, policy, host)
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


def _print_filters(given: Given, policy: Policy, host: Host) -> int:
    """The filters in the order of loading, proven as they are for a run."""
    from sandboxer.compile.lower import make_scene
    from sandboxer.controls import seccomp
    from sandboxer.controls.seccomp.stack import compile_stack
    from sandboxer.verify.annotate import annotate

    settings = seccomp.settings(policy).at(seccomp.situation(make_scene(policy, host)))
    shown = [(item, list(annotate(item.program, settings, host.arch))) for item in compile_stack(settings, host.arch)]
    if given.has(JSON.flag):
        print_json([_filter_data(item, rows) for item, rows in shown])
        return 0
    for item, rows in shown:
        print_lines([f"{item.purpose}: {item.instructions} instructions, proven equal to the rules"])
        print_lines(row.show() for row in rows)
        print_lines([""])
    return 0


def _filter_data(item: Filter, rows: list[Row]) -> dict[str, object]:
    listed = [{"text": row.text, "calls": list(row.calls), "places": [place.show() for place in row.places]} for row in rows]
    return {"purpose": item.purpose, "program": item.program.hex(), "instructions": listed}
