"""The entry of the command line: find the verb, run it, say what went wrong, end with its exit status.

The warm path of `exec` passes here, so verbs are imported when they are called for.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import NoReturn

    from sandboxer.cli.options import Verb
else:
    import _signal  # `signal` costs an import of enum

VERBS = ("exec", "show", "explain", "profiles", "check", "top", "schema", "compile", "import", "export", "policy")
MODULES = {"import": "formats.import_", "export": "formats.export", "policy": "formats.policy"}
TAKE_COMMANDS = ("exec", "compile")
REFUSED = 125


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and end the process. It ends by `_exit`: tearing an interpreter down costs more than a launch."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        # A KeyboardInterrupt can come where it is swallowed, and the run would go on. As with SIGTERM, the kernel ends us.
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    status = run(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if stream is None:  # the caller closed it, and reads nothing
            continue
        try:
            stream.flush()
        except (OSError, ValueError):
            status = status or 1  # the reader of our output is gone
    os._exit(status)


def run(arguments: list[str]) -> int:
    """Run the command line; the exit status."""
    from sandboxer.cli.options import USAGE_ERROR, UsageError

    name = arguments[0] if arguments else ""
    if name in ("", "-h", "--help", "help"):
        return _help(arguments[1:])
    if name in ("-V", "--version", "version"):
        from sandboxer import __version__

        print(f"sandboxer {__version__}")
        return 0
    try:
        return _run_verb(name, arguments[1:])
    except UsageError as error:
        print(f"sandboxer: {error}", file=sys.stderr)
        if error.attempt:
            print(f"  try: {error.attempt}", file=sys.stderr)
        print(f"  `sandboxer {name + ' ' if name in VERBS else ''}--help` lists what there is", file=sys.stderr)
        return USAGE_ERROR
    except BrokenPipeError:
        return 1


def _run_verb(name: str, arguments: list[str]) -> int:
    from sandboxer.cli.options import HELP, parse_options, show_help

    verb = load_verb(name)
    given = parse_options(verb.OPTIONS, arguments, takes_command=name in TAKE_COMMANDS)
    if given.has(HELP.flag):
        print(show_help(verb))
        return 0
    if verb.NAME == "exec":
        return verb.run(given)  # it tells its own errors: as text or as JSON, and in the report
    from sandboxer.errors import SandboxerError

    try:
        return verb.run(given)
    except SandboxerError as error:
        from sandboxer.cli.messages import show_error

        print(show_error(error), file=sys.stderr)
        return REFUSED


def load_verb(name: str) -> Verb:
    """The module of a verb. Raises: UsageError for a word that is none."""
    from sandboxer.cli.options import UsageError, did_you_mean, visible

    if name not in VERBS:
        attempt = did_you_mean(name, VERBS)
        raise UsageError(f"there is no verb {visible(name)}", attempt or f"one of {', '.join(VERBS)}")
    module = f"sandboxer.cli.{MODULES.get(name, name)}"
    __import__(module)
    return sys.modules[module]


def _help(words: list[str]) -> int:
    from sandboxer.cli.options import show_help

    if words:
        print(show_help(load_verb(words[0])))
        return 0
    print("usage: sandboxer VERB [options]\n\nRun programs under a profile that a person can read.\n\nverbs:")
    for name in VERBS:
        print(f"  {name:<12}{load_verb(name).SUMMARY}")
    print("\n`sandboxer VERB --help` has the options of a verb; `sandboxer --version` the version.")
    return 0
