"""The parts of the VM that need no machine: what is asked of apt, qemu and the kernel, and what is made once."""

from __future__ import annotations

import gzip
import struct
import subprocess
from pathlib import Path

import pytest

from tests.vm import store
from tests.vm.__main__ import make_job, read_options
from tests.vm.archive import BuildError, Source, kernel_parts, other_suite
from tests.vm.boot import LSMS, Boot, Parts, qemu_words
from tests.vm.kernel import extract_elf, load_order, make_cpio, read_dependencies
from tests.vm.tree import requirements, synchronize

DEPENDENCIES = dict(read_dependencies("""\
kernel/drivers/virtio/virtio_pci.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/virtio/virtio.ko: kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/virtio/virtio_ring.ko:
kernel/arch/crc32c-intel.ko:
"""))  # fmt: skip


def test_modules_are_loaded_after_what_they_need_and_built_in_ones_are_passed_over() -> None:
    assert [Path(path).name for path in load_order(("virtio_pci", "ext4", "virtio", "crc32c_intel"), DEPENDENCIES)] == [
        "virtio_ring.ko", "virtio.ko", "virtio_pci.ko", "crc32c-intel.ko",
    ]  # fmt: skip


def test_kernel_is_its_image_binary_and_modules_and_no_tools() -> None:
    depends = (
        "initramfs-tools | dracut, linux-base-7.3.4+deb13-cloud-amd64 (= 7.3.4-1), kmod, "
        "linux-binary-7.3.4+deb13-cloud-amd64 (= 7.3.4-1), linux-modules-7.3.4+deb13-cloud-amd64 (= 7.3.4-1)"
    )
    assert list(kernel_parts(depends)) == ["linux-binary-7.3.4+deb13-cloud-amd64", "linux-modules-7.3.4+deb13-cloud-amd64"]
    assert list(kernel_parts("")) == []


def test_suite_of_another_release_is_sought_where_the_release_is() -> None:
    sources = (Source("http://security.example", "old-security"), Source("http://mirror.example", "old"))
    assert other_suite(sources, "old", "new-backports") == (Source("http://mirror.example", "new-backports"),)


def test_elf_is_taken_out_of_an_image_and_other_files_are_refused() -> None:
    payload = gzip.compress(b"\x7fELF") + struct.pack("<I", 4)
    image = bytearray(1024)
    image[0x1F1], image[0x202:0x206] = 1, b"HdrS"
    image[0x248:0x250] = struct.pack("<II", 0, len(payload))
    assert extract_elf(bytes(image) + payload) == b"\x7fELF"
    with pytest.raises(BuildError, match="no bzImage"):
        extract_elf(bytes(1024))


def test_first_archive_of_the_guest_is_in_the_kernels_form() -> None:
    archive = make_cpio(("bin",), {"bin/a": b"abc"})
    assert len(archive) % 4 == 0
    assert archive.startswith(b"070701")
    assert archive.count(b"070701") == 3
    assert struct.pack("3s", b"abc") in archive


def test_every_choice_has_landlock_and_the_words_come_last() -> None:
    for lsm, words in LSMS.items():
        assert words.startswith("lsm=landlock,")
        assert Boot(lsm=lsm, has_audit=True, words=("a=1",)).command_line.endswith(f"{words} audit=1 a=1")


def test_machine_writes_to_no_disk_of_ours_and_goes_on_from_a_saved_one() -> None:
    parts = Parts(*(Path(f"/x,{name}") for name in ("image", "initrd", "root", "modules", "tree")))
    booted = qemu_words(Boot(), parts, job=3, monitor=4)
    drives = [word for word in booted if word.startswith("if=none")]
    assert len(drives) == 3
    assert all("snapshot=on" in drive and ",file=/x,," in drive for drive in drives)
    assert "-incoming" not in booted
    assert qemu_words(Boot(), parts, job=3, monitor=4, saved=Path("/a b"))[-2:] == ["-incoming", "exec:cat '/a b'"]


def test_options_make_the_job() -> None:
    job = make_job(read_options(["run", "--user", "--env", "A=b=c", "--", "sh", "-c", "x"]))
    assert (job.command, job.user, job.environment) == (("sh", "-c", "x"), "user", {"A": "b=c"})
    job = make_job(read_options(["test", "--kernel", "newest", "--", "-q", "tests/x"]))
    assert job.command[-2:] == ("-q", "tests/x")
    assert job.results == store.BUILD / "results/newest-none-root"


def test_guest_has_what_tests_run_and_no_tools_of_a_developer() -> None:
    text = '[project]\ndependencies = ["PyYAML>=6"]\noptional-dependencies.test = ["pytest>=8.0", "mypy>=1.13", "z3-solver>=4"]\n'
    assert requirements(text) == ("PyYAML>=6", "pytest>=8.0")


def test_copy_follows_the_sources_and_keeps_what_was_compiled(tmp_path: Path) -> None:
    source, target = tmp_path / "source.py", tmp_path / "copy"
    source.write_text("a")
    synchronize({"a/m.py": source, "old.py": source}, target)
    (target / "a/__pycache__").mkdir()
    for name in ("m", "gone"):
        (target / f"a/__pycache__/{name}.cpython-311.pyc").touch()
    source.write_text("changed")
    synchronize({"a/m.py": source}, target)
    assert (target / "a/m.py").read_text() == "changed"
    assert sorted(path.name for path in target.rglob("*.py*")) == ["m.cpython-311.pyc", "m.py"]


def test_thing_is_made_once_and_not_at_all_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BUILD", tmp_path)
    first = store.cached("thing", ["a"], lambda into: (into / "x").touch(), "making")
    assert store.cached("thing", ["a"], lambda into: pytest.fail("made twice"), "making") == first

    def fail(into: Path) -> None:
        (into / "x").touch()
        raise BuildError("no")

    with pytest.raises(BuildError):
        store.cached("thing", ["b"], fail, "making")
    assert sorted(path.name for path in tmp_path.iterdir()) == [first.name, "thing.lock"]
    second = store.cached("thing", ["b"], lambda into: None, "making")
    assert sorted(path.name for path in tmp_path.iterdir()) == [second.name, "thing.lock"]


def test_suite_is_not_collected_outside() -> None:
    done = subprocess.run(
        [store.ROOT / ".venv/bin/python", "-m", "pytest", "--collect-only", "-q", "tests/vm"],
        cwd=store.ROOT, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert "tests/vm/test_vm.py" in done.stdout
    assert "tests/vm/suite" not in done.stdout
