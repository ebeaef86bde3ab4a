"""`sandboxer export`: a profile in the language of another program."""

from __future__ import annotations

import re

from sandboxer.cli.formats import write_translation
from sandboxer.cli.options import Given, Option, UsageError, did_you_mean, visible
from sandboxer.cli.policies import JSON, PROFILE_OPTIONS, read_profile_request
from sandboxer.export import EXPORTERS, load_exporter

NAME = "export"
SUMMARY = "Write a profile in the language of another program"
USAGE = "[options] FORMAT PROFILE"
OPTIONS = (
    Option("--output", "FILE", short="-o", help="where the text goes; without it, to standard output"),
    Option("--arch", "ARCH", help="the architecture that it is for; without it, this machine's"),
    Option("--kernel", "VERSION", help="the kernel that it is for, as in 6.12; without it, this machine's"),
    Option(
        "--capability",
        "CAP",
        repeatable=True,
        help="a capability that the job will hold, or `none`; without it, those that the profile keeps",
    ),
    Option("--narrow", help="refuse more, and tell it, where the format cannot say it exactly or only at great length"),
    *PROFILE_OPTIONS,
    JSON,
)
NOTES = f"""
formats:
{chr(10).join(f"  {name:<14}{load_exporter(name).SUMMARY}" for name in EXPORTERS)}

What a profile says of architectures, kernels and capabilities (`when:`) is decided here. What is not the same word for word in
the other language is told on standard error; nothing is ever allowed that the profile refuses.
"""


def run(given: Given) -> int:
    """Resolve, write, tell."""
    if not given.words:
        raise UsageError("no format is named", f"sandboxer export FORMAT PROFILE; formats: {', '.join(EXPORTERS)}")
    name = given.words.pop(0)
    if name not in EXPORTERS:
        near = did_you_mean(name, EXPORTERS) or f"one of {', '.join(EXPORTERS)}"
        raise UsageError(f"there is no format {visible(name)} to export to", near)
    request = read_profile_request(given, f"{NAME} {name}")
    arch, kernel, held = _arch(given), _kernel(given), _capabilities(given)
    from sandboxer.compile.lower import make_scene
    from sandboxer.controls.seccomp.rules import Situation
    from sandboxer.kernel.probe import probe
    from sandboxer.run.prepare import host_for, resolve_request

    policy = resolve_request(request).policy
    host = host_for(policy, probe())
    situation = Situation(
        arch or host.arch, kernel or host.kernel, make_scene(policy, host).capabilities if held is None else held
    )
    _check_arch(situation.arch)
    done = load_exporter(name).write(policy, situation, host=host, may_narrow=given.has("--narrow"))
    write_translation(given, done.text, done.notes, what="the export")
    return 0


def _arch(given: Given) -> str:
    name = given.one("--arch")
    if name:
        _check_arch(name)
    return name


def _check_arch(name: str) -> None:
    from sandboxer.controls.seccomp.rules import ARCHITECTURES

    if name not in ARCHITECTURES:
        near = did_you_mean(name, ARCHITECTURES) or f"--arch with one of {', '.join(ARCHITECTURES)}"
        raise UsageError(f"there is no table of system calls for {visible(name)}", near)


def _kernel(given: Given) -> tuple[int, int] | None:
    text = given.one("--kernel")
    if not text:
        return None
    found = re.fullmatch(r"([0-9]{1,3})\.([0-9]{1,3})", text, re.ASCII)
    if found is None:
        raise UsageError(f"{visible(text)} is no version of a kernel", "two numbers, as in --kernel 6.12")
    return int(found[1]), int(found[2])


def _capabilities(given: Given) -> int | None:
    """The capabilities that were given, as bits; None if none were."""
    from sandboxer.abi.capabilities import CAPABILITIES

    words = given.all("--capability")
    if not words:
        return None
    held = 0
    for word in words:
        name = word.lower().removeprefix("cap_")
        if name == "none" and len(words) == 1:
            return 0
        if name not in CAPABILITIES:
            raise UsageError(f"there is no capability {visible(word)}", did_you_mean(name, CAPABILITIES))
        held |= 1 << CAPABILITIES[name]
    return held
