"""`sandboxer show`."""

from __future__ import annotations

import json

from tests.cli.front import Front


def test_show_prints_values_with_their_places(front: Front) -> None:
    front.profile("mine", "limits: {open_files: 77}")
    lines = [" ".join(line.split()) for line in front.run("show", "mine").stdout.splitlines()]
    assert "open_files: 77 # .sandboxer/profiles/mine.yaml:5:22" in lines


def test_show_takes_the_path_of_a_file(front: Front) -> None:
    path = front.profile("mine")
    assert front.run("show", str(path)).stdout.startswith("mine: what a test needs\n")


def test_show_takes_options(front: Front) -> None:
    shown = front.run("show", "default", "--timeout", "5s").stdout
    assert "wall: 5s" in shown
    assert "command line" in shown


def test_show_json_is_plain_data(front: Front) -> None:
    data = json.loads(front.run("show", "default", "--json").stdout)
    assert data["name"] == "default"
    assert data["sections"]["limits"]["wall"][0]["place"].startswith("policies/") or data["sections"]["limits"]["wall"]


def test_show_lets_no_escape_through(front: Front) -> None:
    front.profile("mine", 'environment: {set: {X: "\\e]0;title\\a"}}')
    done = front.run("show", "mine")
    assert "\x1b" not in done.stdout + done.stderr
    assert "\x07" not in done.stdout + done.stderr


def test_show_makes_what_cannot_be_printed_visible(front: Front) -> None:
    shown = front.run("show", "default", "--read", "/a\u202eb").stdout
    assert "\u202e" not in shown
    assert r"/a\u202eb" in shown


def test_show_of_two_names_is_wrong_usage(front: Front) -> None:
    done = front.run("show", "default", "strict")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "sandboxer: 2 profiles are named")
