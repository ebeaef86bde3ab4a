"""Record how often commands make each system call, as a policy file that shapes filters for them. Needs strace.

    python scripts/record_frequency.py --name frequency/mine 'gcc -c a.c' 'tar cf /dev/null src' > policies/frequency/mine.yaml

Every command counts alike, however many calls it makes. A command is given to `sh -c`. What a frequency can do: move hot calls to
the front of a filter. What it cannot: change an answer.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sandboxer.controls.seccomp.rules import CALLS

SHARE = 10_000


def count(command: str) -> dict[str, int]:
    """Calls of one command and of all that it starts. strace(1), -c."""
    with tempfile.TemporaryDirectory() as directory:
        summary = Path(directory) / "summary"
        words = ["strace", "-f", "-c", "-U", "calls,name", "-o", str(summary), "sh", "-c", command]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        rows = (line.split() for line in summary.read_text().splitlines())
        return {row[1]: int(row[0]) for row in rows if len(row) == 2 and row[0].isdigit() and row[1] in CALLS}


def join(counts: list[dict[str, int]]) -> dict[str, int]:
    """Shares of each command, added up."""
    total: dict[str, float] = {}
    for one in counts:
        for call, number in one.items():
            total[call] = total.get(call, 0) + SHARE * number / sum(one.values())
    return {call: round(share) for call, share in total.items() if round(share)}


def show(name: str, commands: list[str], total: dict[str, int]) -> Iterator[str]:
    """The policy file."""
    yield "kind: policy"
    yield f"name: {name}"
    yield "description: How often ordinary programs make each system call. Shapes filters for speed, allows nothing."
    yield ""
    yield "# Recorded with scripts/record_frequency.py; every command counts alike:"
    yield from (f"#   {command}" for command in commands)
    yield ""
    yield "seccomp:"
    yield "  frequency:"
    yield from (f"    {call}: {number}" for call, number in sorted(total.items(), key=lambda item: (-item[1], item[0])))


def main() -> None:
    """Run the commands and print the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--name", required=True, help="the name of the policy, as in its path under policies/")
    parser.add_argument("commands", nargs="+", help="what to run, each by `sh -c`")
    options = parser.parse_args()
    print("\n".join(show(options.name, options.commands, join([count(command) for command in options.commands]))))


if __name__ == "__main__":
    main()
