"""The build hook: compiles the C programs and puts them, the profiles and the policies where the package looks for them.

A wheel gets its own, built in a directory that nobody else writes to. An editable install gets one in the source
tree, because that is where the package lies. The hook knows nothing of the C files: `sandboxer/launcher/c/Makefile` does.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LAUNCHER = "sandboxer/launcher/bin/sandboxer-launch"
PROBE = "sandboxer/launcher/bin/sandboxer-probe"
IMAGE = "sandboxer/launcher/bin/sandboxer-image.so"


def platform_tag() -> str:
    """The wheel's tag: any Python 3, this kind of processor. The launcher is static, so no libc is part of it."""
    return f"py3-none-linux_{platform.machine()}"


def build_launcher(root: Path, target: Path) -> None:
    """Compile the launcher to `target`, and the probe and the image module beside it.

    Raises: RuntimeError if `make` is missing or fails; its own messages stand on the terminal above.
    """
    make = shutil.which("make")
    if make is None:
        raise RuntimeError("building sandboxer needs make and a C compiler (Debian: apt-get install make gcc musl-tools)")
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [make, "-s", "-C", str(root / "sandboxer/launcher/c"), f"OUT={target}"]
    done = subprocess.run(command, check=False)
    if done.returncode or not target.is_file():
        raise RuntimeError(f"the launcher did not build: {' '.join(command)}")


class LauncherBuildHook(BuildHookInterface[Any]):
    """Runs before hatchling collects the files of a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build for a wheel (`standard`) or for the source tree (`editable`)."""
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        build_data["pure_python"] = False
        build_data["tag"] = platform_tag()
        if version == "editable":
            build_launcher(root, root / LAUNCHER)
            return
        self._scratch = tempfile.TemporaryDirectory(prefix="sandboxer-build-")
        launcher = Path(self._scratch.name) / "sandboxer-launch"
        build_launcher(root, launcher)
        build_data["force_include"] |= {
            str(launcher): LAUNCHER,
            str(launcher.with_name("sandboxer-probe")): PROBE,
            str(launcher.with_name("sandboxer-image.so")): IMAGE,
            str(root / "profiles"): "sandboxer/_data/profiles",
            str(root / "policies"): "sandboxer/_data/policies",
        }

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Forget the launcher that is in the wheel now."""
        scratch = getattr(self, "_scratch", None)
        if scratch is not None:
            scratch.cleanup()
