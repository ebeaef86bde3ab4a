"""The shipped ingredients of files and devices: each one loads, says one line, and lowers on a pretended host."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandboxer.controls import devices, filesystem
from sandboxer.controls.room import Scene, Scope
from sandboxer.model.host import Host, PathFact, PathKind
from sandboxer.model.node import Mapping, Scalar, parse_node
from sandboxer.model.policy import Trait
from sandboxer.model.section import Section

SHIPPED = Path(__file__).parents[3] / "policies"
FILES = sorted([*SHIPPED.glob("filesystem/*.yaml"), *SHIPPED.glob("devices/*.yaml")])
CWD, HOME = "/home/user/project", "/home/user"
DIRECTORIES = ("/usr", "/etc", HOME, CWD)


def read(path: Path) -> Mapping:
    text = path.read_text().replace("${cwd}", CWD).replace("${home}", HOME)
    node = parse_node(text.encode(), str(path))
    assert isinstance(node, Mapping)
    return node


def said(node: Mapping, room_name: str) -> Section:
    rows = {row.name: row for row in (filesystem if room_name == "filesystem" else devices).FIELDS}
    section = node.get(room_name)
    if section is None:
        return Section()
    assert isinstance(section, Mapping)
    return Section({key.text: rows[key.text].parse(value) for key, value in section.entries})


def text_of(node: Mapping, key: str) -> str:
    value = node.get(key)
    assert isinstance(value, Scalar)
    return value.text


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_policy_is_named_after_its_file_and_described(path: Path) -> None:
    node = read(path)
    assert text_of(node, "kind") == "policy"
    assert text_of(node, "name") == f"{path.parent.name}/{path.stem}"
    assert text_of(node, "description").endswith(".")


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_policy_lowers_on_a_bare_host(path: Path) -> None:
    node = read(path)
    device = PathFact(PathKind.DEVICE, mode=0o666)
    facts = {name: PathFact(PathKind.DIRECTORY) for name in DIRECTORIES} | dict.fromkeys(devices.NODES, device)
    host = Host(paths=facts)
    scene = Scene(host, frozenset({Trait.NEW_PID_NAMESPACE}))
    scope = Scope(cwd=CWD, home=HOME)
    filesystem.lower(filesystem.understand(said(node, "filesystem"), scope), scene)
    devices.lower(devices.understand(said(node, "devices"), scope), scene)


@pytest.mark.parametrize("name", [".ssh", ".gnupg", ".aws", ".kube", ".netrc", ".docker", ".git-credentials"])
def test_secrets_hide_what_people_keep_in_their_home(name: str) -> None:
    section = said(read(SHIPPED / "filesystem" / "secrets.yaml"), "filesystem")
    assert f"~/{name}" in section.values("hide")
