"""secilc, SELinux's own compiler, as far as tests ask it: it puts a module over a small policy and loads nothing."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from sandboxer.controls.lsm.selinux import shared_module_path

MACHINE = Path(__file__).with_name("machine.cil")


def complaint(text: str, more: str = "", *, with_shared: bool = True, has_levels: bool = True) -> str:
    """What the compiler has against a module over the machine's policy, and `more`; empty: it takes it.

    more: for rules that nothing may break (`neverallow`), which the compiler checks. has_levels: the policy has categories.
    """
    with tempfile.TemporaryDirectory() as place:
        module, machine = Path(place, "module.cil"), Path(place, "machine.cil")
        module.write_text(text + more)
        machine.write_text(MACHINE.read_text())
        shared = [shared_module_path()] if with_shared else []
        done = subprocess.run(
            ["secilc", "--mls", str(has_levels).lower(), "--policyvers", "33", "--output", f"{place}/policy", "--filecontext",
             f"{place}/contexts", machine, *shared, module],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode == 0) == Path(place, "policy").exists()
        return done.stdout + done.stderr if done.returncode else ""
