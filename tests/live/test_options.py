"""One-line options: what they widen where the profile lets them, and what is refused where it does not."""

from __future__ import annotations

import os

import pytest

from tests.live.boxes import Box
from tests.live.needs import no_network

OPEN = """\
options:
  read: [{place}/shared]
  write: [{place}/shared]
  env: ["APP_*"]
  timeout: 1h
  network: loopback
"""


@pytest.fixture
def opened(box: Box) -> Box:
    """A box whose profile lets options widen it, a little; and a directory of the same person's beside the workplace."""
    shared = box.person.directory(f"shared-{os.urandom(4).hex()}")
    for name in ("allowed", "other"):
        (shared / name).mkdir()
        (shared / name / "file").write_text("text")
        for path in (shared / name, shared / name / "file"):
            os.chown(path, box.person.uid, box.person.gid)
    (box.place / "shared").symlink_to(shared)
    box.profile(OPEN.format(place=box.place).replace(f"{box.place}/shared", f"{shared}/allowed"))
    return box


def directory(box: Box, name: str) -> str:
    return f"{os.readlink(box.place / 'shared')}/{name}"


def look(box: Box, *options: str) -> dict[str, str]:
    allowed = directory(box, "allowed")
    found: dict[str, str] = box.look(
        f"seen.update(read=attempt(read, '{allowed}/file'), write=attempt(write, '{allowed}/new'))", options=options
    )
    return found


def test_read_and_write_widen_what_the_profile_allows(opened: Box) -> None:
    allowed = directory(opened, "allowed")
    assert look(opened) == {"read": "ENOENT", "write": "ENOENT"}
    assert look(opened, "--read", allowed)["write"] == "EROFS"
    if opened.person.uid:
        assert look(opened, "--read", allowed)["read"] == "ok"
    assert look(opened, "--write", allowed) == {"read": "ok", "write": "ok"}
    assert os.stat(f"{allowed}/new").st_uid == opened.person.uid


def test_read_and_write_beyond_what_the_profile_allows_are_refused(opened: Box) -> None:
    other = directory(opened, "other")
    for option in ("--read", "--write"):
        message = opened.refusal(options=[option, other])
        assert f"this profile does not allow {option} {other}" in message
        assert "command line" in message


def test_link_below_an_allowed_directory_leads_no_further(opened: Box) -> None:
    os.symlink(directory(opened, "other"), directory(opened, "allowed/link"))
    message = opened.refusal(options=["--read", directory(opened, "allowed/link")])
    assert f"it leads to {directory(opened, 'other')}" in message


def test_variables_pass_and_are_set_where_the_profile_allows_them(opened: Box) -> None:
    code = "seen.update((name, os.environ.get(name)) for name in ('APP_A', 'APP_B', 'APP_C'))"
    caller = {"APP_A": "from outside", "APP_C": "hush", "OTHER": "hush"}
    seen = opened.look(code, options=["--env", "APP_A", "-e", "APP_B=given = twice"], env=caller)
    assert seen == {"APP_A": "from outside", "APP_B": "given = twice", "APP_C": None}
    assert "does not allow --env OTHER" in opened.refusal(options=["--env", "OTHER"])
    assert "does not allow --env OTHER" in opened.refusal(options=["--env", "OTHER=x"])


def test_value_of_a_variable_is_in_no_report(opened: Box) -> None:
    done, report = opened.told("printenv", "APP_SECRET", options=["--env", "APP_SECRET=hush-hush"])
    assert done.stdout == "hush-hush\n"
    assert "hush-hush" not in str(report)
    assert [item["option"] for item in report["options"]] == ["--env APP_SECRET"]


def test_time_can_be_shortened_always_and_lengthened_as_far_as_is_allowed(opened: Box) -> None:
    assert opened.run("sleep", "100", options=["--timeout", "300ms"]).returncode == 124
    opened.profile("limits: {wall: 10s}\noptions: {timeout: 1h}")
    assert opened.run("true", options=["--timeout", "50m"]).returncode == 0
    assert "does not allow --timeout 2h" in opened.refusal(options=["--timeout", "2h"])
    opened.profile("limits: {wall: 10s}")
    assert opened.run("true", options=["--timeout", "5s"]).returncode == 0
    assert "does not allow --timeout 11s" in opened.refusal(options=["--timeout", "11s"])


def test_network_can_be_narrowed_always_and_widened_as_far_as_is_allowed(opened: Box) -> None:
    code = "seen['lo'] = attempt(lambda: socket.create_connection(('127.0.0.1', 9), timeout=5))"
    assert opened.look(code) == {"lo": no_network()}
    assert opened.look(code, options=["--network", "loopback"]) == {"lo": "ECONNREFUSED"}
    assert "does not allow --network host" in opened.refusal(options=["--network", "host"])
    opened.profile("network: {mode: loopback}")
    assert opened.look(code, options=["--network", "none"]) == {"lo": no_network()}


def test_option_against_a_denial_is_refused(opened: Box) -> None:
    allowed = directory(opened, "allowed")
    opened.profile(f"filesystem: {{hide: [{allowed}]}}\nenvironment: {{deny: [APP_A]}}\noptions: {{read: [/], env: ['*']}}\n")
    assert "has no effect: the profile denies it" in opened.refusal(options=["--read", allowed])
    assert "has no effect: the profile denies it" in opened.refusal(options=["--env", "APP_A"])
    assert opened.run("true", options=["--env", "APP_B"]).returncode == 0


def test_parameters_get_values_of_their_types(box: Box) -> None:
    box.profile("""\
params:
  files: {type: integer, default: 64, help: how many}
  greeting: {type: string, default: hello}
limits: {open_files: "${files}"}
environment: {set: {GREETING: "${greeting} ${user}", PLAIN: "$${files}"}}
""")
    code = (
        "seen.update(files=resource.getrlimit(resource.RLIMIT_NOFILE)[0], text=os.environ['GREETING'], plain=os.environ['PLAIN'])"
    )
    user = box.look(code)["text"].split()[1]
    assert box.look(code) == {"files": 64, "text": f"hello {user}", "plain": "${files}"}
    given = box.look(code, options=["--set", "files=99", "--set", "greeting=${files}"])
    assert given["files"] == 99
    assert given["text"] in (f"${{files}} {user}", f"99 {user}")
    assert "files" in box.refusal(options=["--set", "files=many"])
    assert "did you mean files" in box.refusal(options=["--set", "file=5"])


def test_options_show_in_the_report_with_what_allows_them(opened: Box) -> None:
    allowed = directory(opened, "allowed")
    _, report = opened.told("true", options=["--write", allowed, "--timeout", "10s", "--network", "loopback"])
    found = {item["option"]: (item["widens_by"] or {}).get("line") for item in report["options"]}
    assert found == {f"--write {allowed}": 7, "--timeout 10s": None, "--network loopback": 10}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--timeout", "soon"], "soon"),
        (["--network", "everything"], "everything"),
        (["--read", ""], "no path"),
        (["--env", "A B"], "A B"),
    ],
)
def test_option_that_makes_no_sense_is_refused(opened: Box, options: list[str], message: str) -> None:
    assert message in opened.refusal(options=options)


@pytest.mark.parametrize(
    "options", [["--set", "x"], ["--fd", "1"], ["--nothing"], ["--timeout"], ["--timeout", "1s", "--timeout", "2s"]]
)
def test_command_line_that_cannot_be_read_is_wrong_usage(box: Box, options: list[str]) -> None:
    done = box.run("true", options=options)
    assert done.returncode == 2
    assert done.stderr.startswith("sandboxer: ")
