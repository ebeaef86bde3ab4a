"""AppArmor's own parser, as far as tests ask it: it compiles for the pinned features, loads nothing and keeps nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path("/etc/apparmor.d")
_QUIETLY = ("apparmor_parser", "--skip-kernel-load", "--skip-cache", "--base", ROOT, "--kernel-features", ROOT / "abi/3.0")


def compiled(text: bytes) -> bytes:
    """What the kernel would get. Raises: AssertionError with what the parser says against the text, even if it is a warning."""
    done = subprocess.run([*_QUIETLY, "--Werror", "--stdout"], input=text, capture_output=True, check=False)
    said = [line for line in done.stderr.decode(errors="replace").splitlines() if "interface file missing" not in line]
    assert (done.returncode, said) == (0, []), text.decode(errors="replace")
    return done.stdout


def names(text: bytes) -> list[str]:
    """The profiles that the parser sees in a text."""
    done = subprocess.run(["apparmor_parser", "--names"], input=text, capture_output=True, check=True)
    return done.stdout.decode().split("\n")[:-1]
