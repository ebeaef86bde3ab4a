"""Which variables the command gets."""

from __future__ import annotations

import pytest

from tests.live.boxes import Box

CALLER = {
    "SECRET_TOKEN": "hush",
    "LANG": "de_DE.UTF-8",
    "LC_TIME": "C",
    "APP_ONE": "1",
    "APP_KEY": "hush",
    "LD_PRELOAD": "",
    "PYTHONPATH": "/evil",
    "BASH_ENV": "/evil",
    "USER": "me",
    "HOME_PAGE": "x",
}
LOOK = "seen.update(os.environ)"
BUILT_IN = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "USER": "sandbox",
    "LOGNAME": "sandbox",
}


def variables(box: Box, *options: str) -> dict[str, str]:
    found = box.look(LOOK, env=CALLER, options=options)
    found.pop("LC_CTYPE", None)  # the interpreter's own
    return found


def test_environment_is_cleared_but_for_what_is_built_in(box: Box) -> None:
    box.profile(policies=["filesystem/runtime", "syscalls/application"])
    found = variables(box)
    assert found.pop("HOME").startswith("/")
    assert found == {**BUILT_IN, "LANG": "C.UTF-8"}


def test_variables_pass_by_name_and_by_prefix_and_others_do_not(box: Box) -> None:
    box.profile("environment: {pass: ['APP_*', HOME_PAGE], deny: [APP_KEY]}")
    found = variables(box)
    assert {name for name in CALLER if name in found} == {"LANG", "LC_TIME", "APP_ONE", "USER", "HOME_PAGE"}
    assert (found["LANG"], found["APP_ONE"], found["USER"]) == ("de_DE.UTF-8", "1", "sandbox")


def test_prefix_never_passes_what_makes_programs_load_code(box: Box) -> None:
    box.profile("environment: {pass: ['P*', 'B*', 'L*', 'S*']}")
    found = variables(box)
    assert {"PYTHONPATH", "BASH_ENV", "LD_PRELOAD"} & set(found) == set()
    assert found["SECRET_TOKEN"] == "hush"
    box.profile("environment: {pass: [PYTHONPATH]}")
    assert variables(box)["PYTHONPATH"] == "/evil"


def test_values_of_the_profile_stand_above_those_of_the_caller(box: Box) -> None:
    box.profile("environment: {pass: [APP_ONE], set: {APP_ONE: '2', HOME: /tmp, PATH: /usr/bin, EMPTY: ''}}")
    found = variables(box)
    assert {name: found[name] for name in ("APP_ONE", "HOME", "PATH", "EMPTY")} == {
        "APP_ONE": "2", "HOME": "/tmp", "PATH": "/usr/bin", "EMPTY": "",
    }  # fmt: skip


def test_denied_variable_stays_away_whoever_says_it(box: Box) -> None:
    box.profile("environment: {pass: [APP_ONE], set: {APP_KEY: x}, deny: ['APP_*', LOGNAME]}")
    assert {"APP_ONE", "APP_KEY", "LOGNAME"} & set(variables(box)) == set()


@pytest.mark.parametrize("text", ["{pass: ['A=B']}", "{set: {'A B': x}}", "{pass: ['*A']}"])
def test_name_that_no_variable_can_have_is_refused(box: Box, text: str) -> None:
    box.profile(f"environment: {text}")
    assert ".sandboxer/profiles/box.yaml:5:" in box.refusal()


def test_program_is_found_on_the_path_of_the_box(box: Box) -> None:
    box.write("tool", "#!/bin/sh\necho mine\n", mode=0o755)
    box.profile(f"filesystem: {{execute: ['{box.place}']}}\nenvironment: {{set: {{PATH: '{box.place}:/usr/bin'}}}}")
    assert box.output("tool") == "mine\n"
    box.profile(f"filesystem: {{execute: ['{box.place}']}}")
    assert box.run("tool").returncode == 127
