"""Debian packages by name, from the mirror that this machine's apt uses, verified by apt itself, in a state of apt's own.

No host is named here: the mirror and its proxies are those of the machine. Nothing is installed, and the machine's own lists stay
as they are.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
"""The keys of Debian's own releases, from bullseye to trixie: the machine's trusted keys may be more than those."""
COMPONENT = "main"
_KERNEL_PART = re.compile(r"linux-(?:image|binary|modules)-\d\S*-cloud-\S+")


class BuildError(Exception):
    """Something that the VM is made from cannot be had; the message is for people."""


@dataclass(frozen=True, slots=True)
class Source:
    """One line of sources: a mirror and a suite there."""

    uri: str
    suite: str

    @property
    def line(self) -> str:
        """As sources.list has it."""
        return f"deb [signed-by={KEYRING}] {self.uri} {self.suite} {COMPONENT}"


def read_codename() -> str:
    """The release of this machine, such as bookworm. os-release(5)."""
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.partition("=")[2].strip('"')
    raise BuildError("the test VM is built on a Debian system: /etc/os-release names no release")


def source_files() -> tuple[Path, ...]:
    """Where apt's sources are written: when they change, what was made from them is made again. Only apt reads what they say."""
    found = (Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*")))
    return tuple(path for path in found if path.is_file())


def read_sources(codename: str) -> tuple[Source, ...]:
    """What apt is configured to use of Debian's release: the suite itself, its updates and its security fixes."""
    shown = output(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"])
    suites = (codename, f"{codename}-updates", f"{codename}-security")
    found = dict.fromkeys(
        Source(uri, suite) for uri, suite, component in map(str.split, shown.splitlines())
        if suite in suites and component == COMPONENT
    )  # fmt: skip
    if not any(source.suite == codename for source in found):
        raise BuildError(f"apt's sources have no `{codename} {COMPONENT}`; the mirror of the test VM is read from there")
    return tuple(found)


def other_suite(sources: tuple[Source, ...], codename: str, suite: str) -> tuple[Source, ...]:
    """A suite of another release, on the mirror that has the release of the machine."""
    return (Source(next(source.uri for source in sources if source.suite == codename), suite),)


class Archive:
    """Some sources, with lists and a cache of packages below a directory."""

    def __init__(self, sources: tuple[Source, ...], directory: Path) -> None:
        """Read the lists of the sources from the network. directory: existing and empty."""
        self._directory = directory
        for name in ("state/lists/partial", "cache/archives/partial"):
            (directory / name).mkdir(parents=True)
        (directory / "sources.list").write_text("".join(f"{source.line}\n" for source in sources))
        (directory / "status").touch()
        output([*self._apt("apt-get"), "update", "--error-on=any"])

    def kernel_packages(self, meta: str) -> tuple[str, ...]:
        """The packages that make up the kernel that a meta package of Debian's stands for, the newest, as `name=version`."""
        todo, found = [meta], dict[str, str]()
        while todo:
            name = todo.pop()
            fields = self._newest(name)
            if name != meta:
                found[name] = fields["Version"]
            todo += [part for part in kernel_parts(fields.get("Depends", "")) if part not in found]
        if not found:
            raise BuildError(f"the package {meta} depends on no kernel")
        return tuple(sorted(f"{name}={version}" for name, version in found.items()))

    def unpack(self, packages: tuple[str, ...], into: Path) -> None:
        """Download packages and unpack their files; no script of theirs runs."""
        downloads = self._directory / "packages"
        downloads.mkdir()
        output([*self._apt("apt-get"), "-o", "APT::Sandbox::User=root", "download", *packages], cwd=downloads)
        for package in sorted(downloads.iterdir()):
            output(["dpkg-deb", "--extract", str(package), str(into)])

    def _newest(self, package: str) -> dict[str, str]:
        text = output([*self._apt("apt-cache"), "show", "--no-all-versions", package])
        return {name: value for name, _, value in (line.partition(": ") for line in text.splitlines())}

    def _apt(self, program: str) -> tuple[str, ...]:
        here = self._directory
        settings = {
            "Dir::State": here / "state", "Dir::State::status": here / "status", "Dir::Cache": here / "cache",
            "Dir::Etc::sourcelist": here / "sources.list", "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null", "Dir::Etc::preferencesparts": "/dev/null",
        }  # fmt: skip
        return (program, "-q", *(f"-o{name}={value}" for name, value in settings.items()))


def kernel_parts(depends: str) -> Iterator[str]:
    """The packages of a kernel among those that a `Depends:` names: image, binary and modules, but no tools."""
    for alternatives in depends.split(","):
        name = alternatives.strip().partition(" ")[0]
        if _KERNEL_PART.fullmatch(name):
            yield name


def output(command: list[str], cwd: Path | None = None) -> str:
    """What a command prints. Raises: BuildError with what it said if it fails or does not exist."""
    return output_bytes(command, cwd=cwd).decode(errors="replace")


def output_bytes(command: list[str], *, cwd: Path | None = None, data: bytes = b"", inherited: tuple[int, ...] = ()) -> bytes:
    """As `output`, for data. data: what the command reads. inherited: descriptors that it gets."""
    try:
        done = subprocess.run(command, cwd=cwd, input=data, capture_output=True, pass_fds=inherited)
    except FileNotFoundError:
        raise BuildError(f"{command[0]} is not installed; `make test-vm` installs what the test VM needs") from None
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise BuildError(f"{' '.join(command)}: status {done.returncode}\n{said[-4000:]}")
    return done.stdout
