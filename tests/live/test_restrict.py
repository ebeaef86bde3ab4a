"""Restrict layers, as the job meets them: they take away and never give."""

from __future__ import annotations

import pytest

from tests.live.boxes import Box
from tests.live.needs import no_network

LOOK = """
seen["socket"] = attempt(lambda: socket.socket().close())
seen["write"] = attempt(write, "made")
seen["secret"] = attempt(read, "secret")
seen["files"] = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
seen["bound"] = status("CapBnd")[0].lstrip("0")
seen["lo"] = attempt(lambda: socket.create_connection(("127.0.0.1", 9), timeout=5)) if seen["socket"] == "ok" else "none"
seen["variable"] = os.environ.get("GREETING")
seen["chown"] = attempt(os.chown, "/tmp", -1, -1)
"""
WIDE = """\
network: {mode: loopback}
capabilities: {keep: [kill, chown]}
limits: {open_files: 256}
environment: {set: {GREETING: hello}}
"""
ALL = {
    "socket": "ok",
    "write": "ok",
    "secret": "ok",
    "files": 256,
    "bound": "21",
    "lo": "ECONNREFUSED",
    "variable": "hello",
    "chown": "ok",
}


@pytest.mark.parametrize(
    ("layer", "change"),
    [
        ("{seccomp: {deny: ['@network']}}", {"socket": "EPERM", "lo": "none"}),
        ("{seccomp: {deny: [chown, {socket: {family: AF_INET}}]}}", {"socket": "EPERM", "lo": "none", "chown": "EPERM"}),
        ("{filesystem: {hide: ['${cwd}/secret']}}", {"secret": "EACCES"}),
        ("{filesystem: {read_only: ['${cwd}']}}", {"write": "EROFS"}),
        ("{filesystem: {write: []}}", {"write": "EROFS"}),
        ("{limits: {open_files: 64}}", {"files": 64}),
        ("{capabilities: {keep: [kill, setuid]}}", {"bound": "20"}),
        ("{capabilities: {keep: []}}", {"bound": ""}),
        ("{network: {mode: none}}", {"lo": no_network()}),
        ("{limits: {open_files: 9999}, network: {mode: host}, environment: {pass: [HOME]}}", {}),
        ("{environment: {deny: ['GREET*']}}", {"variable": None}),
        ("{environment: {set: {OTHER: x}}}", {"variable": None}),
    ],
)  # fmt: skip
def test_layer_takes_away_and_never_gives(box: Box, layer: str, change: dict[str, object]) -> None:
    box.write("secret", "text")
    box.place.chmod(0o755)  # without a right to write, root's job is no owner of the directory
    box.profile(f"{WIDE}restrict:\n  - {layer}\n")
    assert box.look(LOOK) == {**ALL, **change}


def test_without_a_layer_everything_that_was_granted_works(box: Box) -> None:
    box.write("secret", "text")
    box.profile(WIDE)
    assert box.look(LOOK) == ALL


def test_layers_stack_and_may_be_named(box: Box) -> None:
    box.write("secret", "text")
    box.policy("seccomp: {deny: ['@network']}\nlimits: {open_files: 32}\n", name="quiet")
    box.profile(f"{WIDE}restrict: [quiet, {{capabilities: {{keep: [chown]}}}}, network/none]\n")
    assert box.look(LOOK) == {**ALL, "socket": "EPERM", "lo": "none", "files": 32, "bound": "1"}


def test_layer_that_allows_calls_is_a_wall_of_its_own(box: Box) -> None:
    box.write("secret", "text")
    box.profile(f"{WIDE}restrict:\n  - {{seccomp: {{allow: ['@application', mount]}}}}\n")
    seen = box.look(LOOK + "seen['mount'] = raw(165, 0, 0, 0, 0, 0)")
    assert seen == {**ALL, "mount": "EPERM"}


def test_child_cannot_undo_the_layer_of_a_parent(box: Box) -> None:
    box.write("secret", "text")
    box.profile(f"{WIDE}restrict:\n  - {{seccomp: {{deny: ['@network']}}}}\n", name="parent")
    text = "kind: profile\nname: box\ndescription: A child.\nextends: [parent]\nseccomp: {allow: ['@network']}\n"
    box.write(".sandboxer/profiles/box.yaml", text)
    assert box.look(LOOK)["socket"] == "EPERM"


def test_option_that_a_layer_takes_away_is_refused(box: Box) -> None:
    box.profile("options: {network: loopback}\nrestrict: [network/none]\n")
    assert "--network loopback is taken away by a restrict layer" in box.refusal(options=["--network", "loopback"])
    box.profile("options: {network: loopback}\n")
    assert box.run("true", options=["--network", "loopback"]).returncode == 0


def test_layer_that_says_what_is_neither_narrow_nor_wide_is_refused(box: Box) -> None:
    box.profile("restrict: [{process: {hostname: other}}]")
    assert "a restrict layer may not say process.hostname" in box.refusal()


def test_override_goes_against_a_parent_and_needs_a_reason(box: Box) -> None:
    box.profile("limits: {open_files: 64}\nseccomp: {deny: [chown]}", name="parent")
    head = "kind: profile\nname: box\ndescription: A child.\nextends: [parent]\n"
    code = "seen.update(files=resource.getrlimit(resource.RLIMIT_NOFILE)[0], chown=attempt(os.chown, '/tmp', -1, -1))"

    def child(text: str) -> None:
        box.write(".sandboxer/profiles/box.yaml", head + text)

    child("limits: {open_files: 128}\nseccomp: {allow: [chown]}\n")
    assert box.look(code) == {"files": 64, "chown": "EPERM"}
    child("""\
override:
  - {path: limits.open_files, value: 128, reason: a test}
  - {path: seccomp.deny, remove: [chown], reason: a test}
""")
    assert box.look(code) == {"files": 128, "chown": "ok"}
    _, report = box.told("true")
    assert [(item["path"], item["reason"]) for item in report["overrides"]] == [
        ("limits.open_files", "a test"),
        ("seccomp.deny", "a test"),
    ]
    child("override: [{path: limits.open_files, value: 128}]\n")
    assert "reason" in box.refusal()
    child("override: [{path: limits.open_files, value: 128, reason: a test, expires: 2020-01-01}]\n")
    assert "expired on 2020-01-01" in box.refusal()
