"""Measure the layers, and write what was found into SECURITY.md: `make layers`. It takes root."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.attack.attempts import build_probe
from tests.attack.layers.measure import measure_all
from tests.attack.layers.page import PAGE, read_marked, show_page, summarize
from tests.attack.layers.verdict import find_faults
from tests.live.needs import this_host


def main() -> int:
    """The exit status: 1 where something is not as it has to be."""
    with tempfile.TemporaryDirectory() as place:
        measured = measure_all(build_probe(Path(place) / "probe"))
    text = PAGE.read_text()
    PAGE.write_text(text.replace(read_marked(text), show_page(measured, this_host())))
    print(summarize(measured))
    faults = find_faults(measured)
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
