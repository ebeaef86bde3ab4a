"""The root of the VM: a minimal Debian of this machine's release, with what sandboxer and its tests run."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from tests.vm.archive import COMPONENT, BuildError, output, read_codename, read_sources
from tests.vm.disk import MIB, make_disk

PACKAGES = (
    "apparmor", "attr", "bubblewrap", "e2fsprogs", "gcc", "git", "iproute2", "iptables", "iputils-ping", "kmod", "libc6-dev",
    "dbus", "dbus-user-session", "libcap2", "libcap2-bin", "libpam-systemd", "libseccomp2", "make", "nftables", "perl",
    "policycoreutils", "procps", "python3", "python3-venv", "selinux-policy-default", "strace", "systemd", "uidmap", "util-linux",
)  # fmt: skip
USER = "user"
"""An ordinary user, with ranges of subordinate ids."""
SELINUX_MODULE = Path(__file__).with_name("guest") / "confined.cil"
"""What the guest's policy has beyond Debian's. Compiling the policy takes 22 s inside, and 5 s here."""
SELINUX_HOOK = """
set -eu
root=$1
shift
mkdir "$root/tmp/modules"
cp "$@" "$root/tmp/modules"
chroot "$root" sh -c 'exec semodule -n -s default -i /tmp/modules/*'
rm -r "$root/tmp/modules"
chroot "$root" setfiles -F -e /proc -e /sys -e /dev /etc/selinux/default/contexts/files/file_contexts /
"""
"""Labels are attributes of files, which need no SELinux on this machine, and which stay on the disk."""
UNWANTED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
SPARE_BYTES = 1024 * MIB


def build_root(image: Path, work: Path, module: Path) -> None:
    """Install the packages below a directory that is there and empty, and make a disk of them.

    module: a further one for the guest's policy, compiled.
    """
    if os.geteuid() != 0:
        raise BuildError("the root of the test VM is built by root: its files belong to several users")
    codename = read_codename()
    tree = work / "tree"
    output([
        # Its mounts and processes are gone when it is, however it ends: what is removed below is the tree alone.
        "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--",
        "mmdebstrap", "--variant=minbase", "--mode=root", f"--components={COMPONENT}", f"--include={','.join(PACKAGES)}",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in UNWANTED), "--dpkgopt=force-unsafe-io",
        f"--customize-hook=chroot \"$1\" useradd --create-home --shell /bin/bash --user-group {USER}",
        f"--customize-hook=sh -c {shlex.quote(SELINUX_HOOK)} sh \"$1\" {shlex.join(map(str, (SELINUX_MODULE, module)))}",
        codename, str(tree), *(source.line for source in read_sources(codename)),
    ])  # fmt: skip
    shutil.rmtree(tree / "var/cache/apt", ignore_errors=True)
    shutil.rmtree(tree / "var/lib/apt/lists", ignore_errors=True)
    (tree / "etc/hostname").write_text("vm\n")
    (tree / "etc/hosts").write_text("127.0.0.1 localhost vm\n::1 localhost\n")
    (tree / "etc/resolv.conf").write_text("")
    (tree / "usr/lib/modules").mkdir(parents=True, exist_ok=True)
    try:
        make_disk(tree, image, spare_bytes=SPARE_BYTES)
    finally:
        shutil.rmtree(tree)
