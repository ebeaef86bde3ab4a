"""`sandboxer compile`: a plan with its command as one file, which the launcher runs without Python."""

from __future__ import annotations

import os

from sandboxer.cli.exec import OPTIONS as EXEC_OPTIONS
from sandboxer.cli.exec import read_command, read_request
from sandboxer.cli.options import Given, Option, UsageError
from sandboxer.launcher.spawn import launcher_path

NAME = "compile"
SUMMARY = "Write the plan of a command to a file that `sandboxer-launch --plan FILE` runs without Python"
USAGE = "--output FILE [--profile NAME] [options] -- CMD [ARGUMENT...]"
_NOT_HERE = ("--report", "--json", "--no-cache", "--verbose", "--quiet", "--in-place", "--weaken")
OPTIONS = (
    Option("--output", "FILE", short="-o", help="where the plan goes"),
    *(row for row in EXEC_OPTIONS if row.flag not in _NOT_HERE),
)
NOTES = f"""
The plan is for this host, this user and this directory, and it holds the environment that the command gets: the file is made
readable for you only. It does not follow later changes of the profile. The launcher:
  {launcher_path()}
"""


def run(given: Given) -> int:
    """Compile, seal and write."""
    output = given.one("--output")
    if not output:
        raise UsageError("there is no --output", f"sandboxer compile --output FILE {USAGE.partition('] ')[2]}")
    argv = read_command(given)
    request = read_request(given)
    from sandboxer.cli.messages import as_sandboxer_error
    from sandboxer.compile.cache import PlanCache
    from sandboxer.compile.seal import seal
    from sandboxer.run.prepare import prepare
    from sandboxer.run.request import make_command

    try:
        entry = prepare(request, "", PlanCache(""))
        if entry.holes:
            from sandboxer.errors import Problem, ProfileError

            why = "it runs without anything that could choose two categories of SELinux for it"
            attempt = "selinux: {categories: none}, or two by name"
            raise ProfileError(Problem("a plan in a file cannot have categories of its own", why=why, attempt=attempt))
        command = make_command(argv, entry, dict(os.environb), request.values)
        sealed = seal(entry.plan, command.candidates, map(os.fsencode, argv), command.environment)
    except ValueError as error:
        known = as_sandboxer_error(error)
        if known is None:
            raise
        raise known from error
    from sandboxer.cli.policies import write_whole

    write_whole(output, sealed, what="the plan", mode=0o600)
    return 0
