"""A module of SELinux's reference policy that Debian compiles into none of its packages: `container`, out of its own sources.

Compiled here, with tools out of the archive too: nothing is installed on this machine, and in the guest it would take minutes.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.vm.archive import Archive, output, read_codename, read_sources

MODULE = "container"
PACKAGES = ("checkpolicy", "m4", "selinux-policy-dev", "selinux-policy-src", "semodule-utils")
SOURCES = f"selinux-policy-src/policy/modules/services/{MODULE}"


def build_module(into: Path) -> None:
    """Fetch the sources and the tools, and make `container.pp` in a directory, which is there and empty."""
    (work := into / "work").mkdir()
    (lists := work / "apt").mkdir()
    (files := work / "files").mkdir()
    Archive(read_sources(read_codename()), lists).unpack(PACKAGES, files)
    names = [f"{SOURCES}.{ending}" for ending in ("te", "fc")]
    output(["tar", "--extract", f"--file={files}/usr/src/selinux-policy-src.tar.zst", f"--directory={work}", *names])
    shared, programs = files / "usr/share/selinux", files / "usr/bin"
    tools = {"CHECKMODULE": "checkmodule", "SEMOD_PKG": "semodule_package", "M4": "m4"}
    settings = {"SHAREDIR": shared, "NAME": "default", "TYPE": "mcs", "AWK": "awk"}
    settings |= {name: programs / program for name, program in tools.items()}
    place = work / SOURCES.rpartition("/")[0]
    # The interfaces of all modules come with the headers, this one's among them.
    words = [f"--file={shared / 'devel/Makefile'}", *(f"{name}={value}" for name, value in settings.items())]
    output(["make", *words, f"{MODULE}.pp"], place)
    (place / f"{MODULE}.pp").rename(into / f"{MODULE}.pp")
    shutil.rmtree(work)
