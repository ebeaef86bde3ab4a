"""`sandboxer exec --explain`: the run is compiled anew and watched. Cold path."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sandboxer.cli.exec import run_entry
from sandboxer.kernel.prctl import harden_supervisor
from sandboxer.learn.explained import open_explained
from sandboxer.run.scoped import ask_for_scope

if TYPE_CHECKING:
    from sandboxer.cli.exec import Telling
    from sandboxer.run.request import Request


def run_watched(request: Request, argv: list[str], telling: Telling) -> int:
    """Compile, start, watch, tell. Raises: SandboxerError, OSError, RequestError, SealError."""
    with open_explained(request, ask=ask_for_scope) as explained:
        harden_supervisor()
        return run_entry(request, argv, telling, explained.entry, dict(os.environb), explained)
