"""Which trees can translate ids, and the mappings that do it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.controls.filesystem.ownership import Idmaps, obstacle
from sandboxer.controls.filesystem.pieces import Bind
from sandboxer.model.host import Host, PathFact, PathKind
from sandboxer.model.op import NO_SLOT
from sandboxer.model.place import Place

BIND = Bind("/a", Place("f"), source="/a", owner=(5, 6))


def host_with(filesystem: str, kernel: tuple[int, int] = (6, 12)) -> Host:
    return Host(kernel=kernel, paths={"/a": PathFact(PathKind.DIRECTORY, filesystem=filesystem)})


@pytest.mark.parametrize(("filesystem", "kernel"), [("ext4", (5, 12)), ("tmpfs", (6, 3)), ("btrfs", (6, 1))])
def test_filesystem_that_translates_ids_has_no_obstacle(filesystem: str, kernel: tuple[int, int]) -> None:
    assert obstacle(BIND, host_with(filesystem, kernel)) is None


@pytest.mark.parametrize(("filesystem", "kernel"), [("nfs", (6, 12)), ("overlay", (6, 12)), ("tmpfs", (6, 2)), ("ext4", (5, 11))])
def test_filesystem_that_does_not_is_named(filesystem: str, kernel: tuple[int, int]) -> None:
    found = obstacle(BIND, host_with(filesystem, kernel))
    assert found is not None
    assert filesystem in found.why
    assert found.attempt


def test_kernel_without_idmapped_mounts_is_named() -> None:
    found = obstacle(BIND, replace(host_with("ext4"), has_idmapped_mounts=False))
    assert found is not None
    assert "5.12" in found.why


def test_mapping_goes_from_the_disk_to_the_job() -> None:
    idmaps = Idmaps((65534, 65533))
    slot = idmaps.slot((5, 6))
    assert idmaps.slot((5, 6)) == slot
    assert [(op.slot, op.uid_map, op.gid_map) for op in idmaps.ops()] == [(slot, "5 65534 1", "6 65533 1")]


def test_nobody_to_translate_needs_no_mapping() -> None:
    idmaps = Idmaps((65534, 65534))
    assert idmaps.slot(None) == NO_SLOT
    assert idmaps.ops() == ()


def test_upper_layer_maps_root_as_well() -> None:
    idmaps = Idmaps((7, 7))
    idmaps.slot((5, 0), is_upper=True)
    assert [(op.uid_map, op.gid_map) for op in idmaps.ops()] == [("5 7 1\n0 0 1", "0 7 1\n65534 0 1")]
