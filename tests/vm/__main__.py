"""`python -m tests.vm`: build the test VM, run a command in a fresh one, run tests there, or all of the gate's rounds."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from tests.vm.archive import BuildError
from tests.vm.boot import LSMS, Boot
from tests.vm.kernel import KERNELS
from tests.vm.machine import MachineError
from tests.vm.root import USER
from tests.vm.rounds import QUICK, QUICK_LIMIT_S, WHOLE, WHOLE_LIMIT_S, choose, count_at_once, run_all
from tests.vm.session import Job, prepare, run
from tests.vm.store import BUILD, ROOT

BROKEN = 125
"""The status when the VM, and not what ran in it, has failed."""
INTERRUPTED = 130
SUITE = "tests/vm/suite"


def read_options(words: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.vm", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    machine = argparse.ArgumentParser(add_help=False)
    group = machine.add_argument_group("the machine")
    group.add_argument(
        "--kernel", choices=KERNELS, default="stable", help="Debian's of this release, or of the next one's backports"
    )
    group.add_argument("--lsm", choices=tuple(LSMS), default="none", help="the security module beside Landlock (default: none)")
    group.add_argument("--audit", action="store_true", help="boot with audit=1, so that denials are recorded")
    group.add_argument("--append", action="append", default=[], metavar="WORDS", help="further words for the kernel")
    group.add_argument("--memory", type=int, default=2048, metavar="MIB", help="memory of the machine (default: 2048)")
    job = argparse.ArgumentParser(add_help=False, parents=[machine])
    group = job.add_argument_group("the job")
    group.add_argument("--user", action="store_true", help=f"run as the ordinary user `{USER}` instead of root")
    group.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="set a variable of the environment")
    group.add_argument("--results", type=Path, metavar="DIRECTORY", help="where files go that the command leaves in $VM_RESULTS")
    group.add_argument("--cold", action="store_true", help="boot the machine, instead of restoring a saved one")
    verbs.add_parser("build", parents=[machine], help="build all that a machine needs, and run nothing")
    command = verbs.add_parser("run", parents=[job], help="run a command", usage="%(prog)s [options] -- COMMAND...")
    command.add_argument("command", nargs="+", metavar="COMMAND")
    tests = verbs.add_parser("test", parents=[job], help="run pytest", usage="%(prog)s [options] -- PYTEST...")
    tests.add_argument("command", nargs="*", metavar="PYTEST", help=f"arguments of pytest (default: {SUITE})")
    rounds = verbs.add_parser("rounds", help="run what `make test-vm` runs", usage="%(prog)s [options] [ROUND...]")
    rounds.add_argument("--whole", action="store_true", help="everything, which takes hours, instead of the gate's selection")
    rounds.add_argument("--at-once", type=int, default=count_at_once(), metavar="N", help="machines (default: %(default)s)")
    rounds.add_argument("names", nargs="*", metavar="ROUND", help=" ".join(row.name for row in (*QUICK, *WHOLE)))
    return parser.parse_args(words)


def make_job(options: argparse.Namespace) -> Job:
    """What to run."""
    command, results = tuple(options.command), options.results
    environment = dict(word.partition("=")[::2] for word in options.env)
    user = USER if options.user else "root"
    if options.verb == "test":
        results = results or BUILD / f"results/{options.kernel}-{options.lsm}{'-audit' if options.audit else ''}-{user}"
        pytest = (f"{ROOT}/.venv/bin/python", "-m", "pytest", "-p", "no:cacheprovider", "--junitxml=/run/vm/results/junit.xml")
        command = (*pytest, *(command or (SUITE,)))
    return Job(command, user, environment, results=results)


def main(words: list[str]) -> int:
    """The status of the command, or our own."""
    options = read_options(words)
    if options.verb == "rounds":
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            table, limit_s = (WHOLE, WHOLE_LIMIT_S) if options.whole else (QUICK, QUICK_LIMIT_S)
            return run_all(choose(table, options.names), options.at_once, limit_s)
        except KeyboardInterrupt:
            return INTERRUPTED
        except LookupError as error:
            print(f"vm: {error.args[0]}", file=sys.stderr)
            return 2
    boot = Boot(options.kernel, options.lsm, options.audit, tuple(options.append), options.memory)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a shell's background jobs ignore the first
        signal.signal(number, signal.default_int_handler)
    try:
        if options.verb == "build":
            prepare(boot)
            return 0
        return run(boot, make_job(options), is_cold=options.cold)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (BuildError, MachineError) as error:
        print(f"vm: {error}", file=sys.stderr)
        return BROKEN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
