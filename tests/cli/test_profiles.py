"""`sandboxer profiles`."""

from __future__ import annotations

import json

import pytest

from tests.cli.front import Front

SHIPPED = ("default", "strict", "python", "node", "build", "package-install", "ci-job", "shell")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_profile_is_listed_with_one_line(front: Front, name: str) -> None:
    lines = [line for line in front.run("profiles").stdout.splitlines() if line.split()[0] == name]
    assert len(lines) == 1
    assert len(lines[0].split()) > 3


def test_profile_of_the_project_is_listed_with_its_file(front: Front) -> None:
    path = front.profile("mine")
    assert f"what a test needs  (from {path}" in front.run("profiles").stdout


def test_profile_that_is_wrong_is_listed_with_what_is_wrong(front: Front) -> None:
    front.profile("mine").write_text("kind: profile\nname: mine\nnonsense: 1\n")
    done = front.run("profiles")
    assert done.returncode == 0
    assert "is wrong: " in done.stdout


def test_profiles_json_is_plain_data(front: Front) -> None:
    front.profile("mine")
    listed = {item["name"]: item for item in json.loads(front.run("profiles", "--json").stdout)}
    assert listed["mine"]["origin"] == "project"
    assert listed["default"]["origin"] == "shipped"
    assert not listed["default"]["is_broken"]


def test_description_cannot_move_the_cursor(front: Front) -> None:
    path = front.profile("mine")
    path.write_text(path.read_text().replace("what a test needs", '"red \\e[31m"'))
    shown = front.run("profiles").stdout
    assert "\x1b" not in shown
    assert r"red \x1b[31m" in shown or "is wrong" in shown
