"""What starts in the box: it takes the modules that serve, and has them take calls from the caller.

The caller trusts nothing of what happens here. The interpreter is bare (-I -S), and the modules that this needs come ahead of the
request: no box has to show sandboxer. A module that imports `sandboxed` gets a stand-in that leaves functions as they are.
"""

from __future__ import annotations

import importlib.util
import sys
from types import CodeType, ModuleType
from typing import Any


class _Bundle:
    """Finds the modules that came with the request; asked first."""

    def __init__(self, codes: dict[str, tuple[CodeType, bool]]) -> None:
        self.codes = codes

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> Any:
        if name not in self.codes:
            return None
        return importlib.util.spec_from_loader(name, self, is_package=self.codes[name][1])  # type: ignore[arg-type]

    def create_module(self, _spec: object) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(self.codes[module.__name__][0], module.__dict__)


def main(codes: dict[str, tuple[CodeType, bool]]) -> None:
    """Serve the calls that come over standard input, until the caller closes it."""
    sys.meta_path.insert(0, _Bundle(codes))
    from sandboxer.calls.serving import serve_all

    serve_all()
