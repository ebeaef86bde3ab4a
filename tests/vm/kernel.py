"""A kernel for the VM, out of Debian's packages: the plain ELF image, its modules on a disk, and an initrd that finds the root.

`stable` is the kernel of this machine's Debian release, `newest` the one of the backports of the next release.
"""

from __future__ import annotations

import gzip
import lzma
import shutil
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.vm.archive import Archive, BuildError, Source, other_suite, output, output_bytes, read_codename, read_sources
from tests.vm.disk import make_disk

META = "linux-image-cloud-amd64"
KERNELS = ("stable", "newest")
NEXT_RELEASE = {"bookworm": "trixie"}
FIRST_MODULES = ("virtio_pci", "virtio_blk", "virtio_console", "crc32c_generic", "crc32c_intel", "ext4")
"""What finds and mounts the root. The rest is loaded from there; crc32c is asked for by ext4 by name, and no dependency of it."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """Where the parts are that a machine boots."""

    directory: Path

    @property
    def image(self) -> Path:
        """The uncompressed kernel, which qemu starts by its PVH note: the guest then need not decompress it."""
        return self.directory / "vmlinux"

    @property
    def initrd(self) -> Path:
        """The first root."""
        return self.directory / "initrd"

    @property
    def modules(self) -> Path:
        """A disk with what is mounted on /usr/lib/modules."""
        return self.directory / "modules.img"


def kernel_sources(name: str) -> tuple[Source, ...]:
    """Where a kernel comes from. Raises: BuildError where this machine's release has no such kernel."""
    codename = read_codename()
    sources = read_sources(codename)
    if name == "stable":
        return sources
    if codename not in NEXT_RELEASE:
        raise BuildError(f"which release follows {codename} is not known here; see NEXT_RELEASE in {__file__}")
    return other_suite(sources, codename, f"{NEXT_RELEASE[codename]}-backports")


def build_kernel(name: str, into: Path) -> None:
    """Fetch a kernel and make its parts in a directory, which is there and empty."""
    (work := into / "work").mkdir()
    (lists := work / "apt").mkdir()
    (files := work / "files").mkdir()
    archive = Archive(kernel_sources(name), lists)
    packages = archive.kernel_packages(META)
    archive.unpack(packages, files)
    (modules,) = (*files.glob("lib/modules/*"), *files.glob("usr/lib/modules/*"))
    image = next(path for path in (modules / "vmlinuz", files / f"boot/vmlinuz-{modules.name}") if path.exists())
    kernel = Kernel(into)
    kernel.image.write_bytes(extract_elf(image.read_bytes()))
    image.unlink()
    for module in modules.rglob("*.ko.xz"):  # decompressed here: in the guest it is sixteen times dearer
        module.with_suffix("").write_bytes(lzma.decompress(module.read_bytes()))
        module.unlink()
    tree = work / "tree"
    (tree / "lib/modules").mkdir(parents=True)
    modules = modules.rename(tree / "lib/modules" / modules.name)
    output(["depmod", "-b", str(tree), modules.name])
    make_disk(tree / "lib/modules", kernel.modules)
    kernel.initrd.write_bytes(make_initrd(modules))
    (into / "packages").write_text("".join(f"{package}\n" for package in packages))
    shutil.rmtree(work)


def extract_elf(image: bytes) -> bytes:
    """The ELF file within a bzImage. Source: Documentation/arch/x86/boot.rst, setup_sects, payload_offset, payload_length."""
    if image[0x202:0x206] != b"HdrS":
        raise BuildError("the kernel's image is no bzImage")
    start = (image[0x1F1] + 1) * 512 + struct.unpack_from("<I", image, 0x248)[0]
    payload = image[start : start + struct.unpack_from("<I", image, 0x24C)[0]]
    if payload.startswith(b"\xfd7zXZ"):
        return lzma.LZMADecompressor().decompress(payload)  # four bytes of length follow the stream
    if payload.startswith(b"\x1f\x8b"):
        return gzip.decompress(payload[:-4])
    if payload.startswith(b"\x28\xb5\x2f\xfd"):
        return output_bytes(["zstd", "-dc"], data=payload[:-4])
    if payload.startswith(b"\x02\x21\x4c\x18"):
        return output_bytes(["lz4", "-dc"], data=payload[:-4])
    raise BuildError(f"the kernel's image is compressed in a way that is not known here: {payload[:4].hex()}")


def make_initrd(modules: Path) -> bytes:
    """A static busybox and the first modules, named so that their order is the one to load them in."""
    dependencies = dict(read_dependencies((modules / "modules.dep").read_text()))
    files = {"bin/busybox": Path(shutil.which("busybox") or "/bin/busybox").read_bytes()}
    for number, path in enumerate(load_order(FIRST_MODULES, dependencies)):
        files[f"modules/{number:02}-{Path(path).name}"] = (modules / path).read_bytes()
    return make_cpio(("bin", "modules", "dev", "root"), files)


def read_dependencies(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The rows of modules.dep: a module, and those to load ahead of it, the last one first."""
    for line in text.splitlines():
        module, _, needed = line.partition(":")
        yield module, tuple(needed.split())


def load_order(names: Iterable[str], dependencies: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Modules in an order in which each can be loaded. What no file has is built in."""
    by_name = {Path(path).name.partition(".")[0].replace("-", "_"): path for path in dependencies}
    order: dict[str, None] = {}
    for path in (by_name[name] for name in names if name in by_name):
        order.update(dict.fromkeys((*reversed(dependencies[path]), path)))
    return tuple(order)


def make_cpio(directories: Iterable[str], files: Mapping[str, bytes]) -> bytes:
    """An archive as the kernel reads it; several may follow one another. Every file can be executed.

    Source: Documentation/driver-api/early-userspace/buffer-format.rst.
    """
    entries = [(name, 0o040755, b"") for name in directories] + [(name, 0o100755, data) for name, data in files.items()]
    parts = []
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], start=1):
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        parts += [head, bytes(-len(head) % 4), data, bytes(-len(data) % 4)]
    return b"".join(parts)
