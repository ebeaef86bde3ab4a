"""How the VM is started: which kernel, which words on its command line, which devices. Pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from tests.vm.guest.machine import PORT

CONSOLE = "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on cryptomgr.notests clearcpuid=112 init_on_alloc=0"
"""112 is X86_FEATURE_REP_GOOD: the emulator repeats one step of a string instruction at a time, so that plain loops are faster.
Source: arch/x86/include/asm/cpufeatures.h."""
LSMS = {
    "none": "lsm=landlock,lockdown,yama,bpf",
    "apparmor": "lsm=landlock,lockdown,yama,apparmor,bpf apparmor=1",
    "selinux": "lsm=landlock,lockdown,yama,selinux,bpf selinux=1 enforcing=0 checkreqprot=0",
}
"""The word of the option -> the words of the kernel. A job turns SELinux's enforcing on itself."""
QEMU = "qemu-system-x86_64"
ABSENT = ("la57", "avx", "avx2", "fma", "f16c", "erms", "fsrm", "smap", "smep")
"""Features of a processor that cost an emulated one time, and that no test is about."""
MACHINE = (
    # One thread for one processor: emulation with more of them panicked now and then.
    "-M", "pc", "-accel", "tcg,thread=single,tb-size=512", "-smp", "1",
    "-cpu", ",".join(("max", *(f"{name}=off" for name in ABSENT))),
    # The guest's clock counts its instructions, 2**0 ns each, and the time that it sleeps. So a limit of half a second is as far
    # away as on a real machine, however slow the emulator is, and however busy whoever emulates. It costs a fourth more.
    "-icount", "shift=0,sleep=on",
    "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Boot:
    """What a person may choose. words: further words of the kernel's command line."""

    kernel: str = "stable"
    lsm: str = "none"
    has_audit: bool = False
    words: tuple[str, ...] = ()
    memory_mib: int = 2048

    @property
    def command_line(self) -> str:
        """The kernel's command line."""
        return " ".join((CONSOLE, LSMS[self.lsm], f"audit={int(self.has_audit)}", *self.words))


@dataclass(frozen=True, slots=True)
class Parts:
    """The files that a machine is made of. tree: the disk with the repository, which is another one for each job."""

    image: Path
    initrd: Path
    root: Path
    modules: Path
    tree: Path


def qemu_words(boot: Boot, parts: Parts, *, job: int, monitor: int, saved: Path | None = None) -> list[str]:
    """The command that runs the machine. job, monitor: sockets that it inherits. saved: go on from there instead of booting."""
    words = [QEMU, *MACHINE, "-m", str(boot.memory_mib)]
    words += ["-kernel", str(parts.image), "-initrd", str(parts.initrd), "-append", boot.command_line]
    for name, path in (("root", parts.root), ("modules", parts.modules), ("tree", parts.tree)):
        # Commas part the options of qemu. What is written goes to a file without a name, and is gone with the machine.
        file = str(path).replace(",", ",,")
        words += ["-drive", f"if=none,id={name},file={file},format=raw,snapshot=on,cache=unsafe"]
        words += ["-device", f"virtio-blk-pci,drive={name}"]
    words += ["-chardev", f"socket,id=job,fd={job}", "-device", "virtio-serial-pci"]
    words += ["-device", f"virtserialport,chardev=job,name={PORT}"]
    words += ["-chardev", f"socket,id=monitor,fd={monitor}", "-mon", "chardev=monitor,mode=control"]
    words += ["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]
    if saved:
        words += ["-incoming", f"exec:cat {shlex.quote(str(saved))}"]
    return words
