"""A command in a fresh VM, from the packages to the status: what is missing is built, then the machine is restored and run."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.vm import archive, boot, disk, kernel, policy, root
from tests.vm.boot import QEMU, Boot, Parts
from tests.vm.guest.machine import ERR, FILE, OUT
from tests.vm.kernel import Kernel, build_kernel, make_cpio
from tests.vm.machine import Machine, MachineError, memory_file
from tests.vm.policy import MODULE, build_module
from tests.vm.root import SELINUX_MODULE, build_root
from tests.vm.store import HERE, ROOT, cached, say
from tests.vm.tree import DISK_BYTES, make_tree_disk

PATH = f"{ROOT}/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INSIDE = "SANDBOXER_TEST_VM"
"""The variable that tells tests that they run inside."""
_GUEST = (HERE / "guest/init.sh", HERE / "guest/machine.py")
_SOURCES = tuple(Path(str(module.__file__)) for module in (archive, disk))


@dataclass(frozen=True, slots=True)
class Job:
    """What runs in the machine. results: a directory here for what the command leaves in $VM_RESULTS."""

    command: tuple[str, ...]
    user: str = "root"
    environment: dict[str, str] = field(default_factory=dict)
    directory: Path = ROOT
    results: Path | None = None

    @property
    def words(self) -> dict[str, object]:
        """As the guest reads it."""
        environment = {"PATH": PATH, INSIDE: "1", **self.environment}
        return {
            "command": self.command, "user": self.user, "environment": environment,
            "directory": str(self.directory), "tree": str(ROOT),
        }  # fmt: skip


def find_kernel(name: str) -> Kernel:
    """A kernel, built if need be."""
    inputs: list[str | Path] = [name, archive.read_codename(), *archive.source_files(), Path(str(kernel.__file__)), *_SOURCES]
    return Kernel(cached(f"kernel-{name}", inputs, lambda into: build_kernel(name, into), f"fetching the {name} kernel"))


def find_root() -> Path:
    """The disk with the root, built if need be."""
    inputs: list[str | Path] = [archive.read_codename(), *archive.source_files(), Path(str(root.__file__)), *_SOURCES]
    module = find_module()
    inputs += [SELINUX_MODULE, module]
    make = cached("root", inputs, lambda into: build_root(into / "root.img", into, module), "installing the root")
    return make / "root.img"


def find_module() -> Path:
    """A module that Debian's policy lacks, built if need be."""
    inputs = [archive.read_codename(), *archive.source_files(), Path(str(policy.__file__)), Path(str(archive.__file__))]
    made = cached(f"policy-{MODULE}", inputs, build_module, f"compiling the policy's module {MODULE}")
    return made / f"{MODULE}.pp"


def find_parts(wanted: Boot) -> Parts:
    """Everything but the repository; for that, an empty disk of the same size."""
    found = find_kernel(wanted.kernel)
    guest = {"init": _GUEST[0].read_bytes(), "guest/machine.py": _GUEST[1].read_bytes()}
    initrd = memory_file("initrd", found.initrd.read_bytes() + make_cpio(("guest",), guest))
    return Parts(found.image, initrd, find_root(), found.modules, memory_file("tree", size_bytes=DISK_BYTES))


def find_saved(wanted: Boot, parts: Parts) -> Path:
    """A machine that waits for its job, booted and saved if need be."""
    qemu = Path(shutil.which(QEMU) or QEMU)
    if not qemu.exists():
        raise archive.BuildError(f"{QEMU} is not installed; `make test-vm` installs what the test VM needs")
    seen = qemu.stat()
    inputs: list[str | Path] = [
        repr(wanted), str(DISK_BYTES), parts.image.parent.name, parts.root.parent.name, f"{seen.st_size} {seen.st_mtime_ns}",
        Path(str(boot.__file__)), *_GUEST,
    ]  # fmt: skip

    def make(into: Path) -> None:
        with Machine(wanted, parts) as machine:
            machine.wait_until_ready()
            machine.save(into / "machine")

    audit = "-audit" if wanted.has_audit else ""
    name = f"machine-{wanted.kernel}-{wanted.lsm}{audit}"
    return cached(name, inputs, make, f"booting {wanted.kernel} with {wanted.command_line!r}") / "machine"


def prepare(wanted: Boot) -> None:
    """Build all that is missing."""
    find_saved(wanted, find_parts(wanted))
    make_tree_disk()


def run(wanted: Boot, job: Job, *, is_cold: bool = False) -> int:
    """Run a job, its output shown as it comes, its results written; the status of its command. is_cold: boot, restore nothing."""
    parts = find_parts(wanted)
    saved = None if is_cold else find_saved(wanted, parts)
    parts = Parts(parts.image, parts.initrd, parts.root, parts.modules, make_tree_disk())
    with Machine(wanted, parts, saved) as machine:
        status = machine.run(job.words, lambda kind, data: _take(job, kind, data))
        if status and machine.console:
            say(f"the guest's console:\n{machine.console}")
    return status


def _take(job: Job, kind: bytes, data: bytes) -> None:
    if kind in (OUT, ERR):
        stream = sys.stdout if kind == OUT else sys.stderr
        stream.buffer.write(data)
        stream.buffer.flush()
    elif kind == FILE and job.results:
        name, _, content = data.partition(b"\0")
        path = job.results / Path(name.decode()).name
        job.results.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


__all__ = ["Job", "MachineError", "find_kernel", "find_parts", "find_root", "find_saved", "prepare", "run"]
