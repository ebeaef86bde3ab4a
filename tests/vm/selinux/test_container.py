"""Boxes in `container_t`, the domain that policies of machines with containers have: Debian's own module of the reference policy.

That policy lets a caller with all categories hand no pipe to it, so the commands here have a terminal, or no stream at all.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.live.boxes import Box
from tests.live.users import Installation, Person
from tests.vm.selinux.labelled import LABEL, denials, domain_and_pair, relabel, write_profile

DOMAIN, FILES, FIXED = "container_t", "container_file_t", "container_ro_file_t"
OVERLAY = "filesystem: {{overlay: [/usr/bin], execute: ['{place}'], write: ['{place}'], working_directory: '{place}'}}\n"
AS_IT_IS = "filesystem: {{write: ['{place}'], execute: ['{place}'], working_directory: '{place}'}}\n"
FIRST = f"selinux: {{type: {DOMAIN}, categories: 'c1,c2'}}\n"
SECOND = f"selinux: {{type: {DOMAIN}, categories: 'c2,c3'}}\n"
OWN = f"selinux: {{type: {DOMAIN}}}\n"
PIPES = f"(allow {DOMAIN} unconfined_t (fifo_file (getattr read write append ioctl)))\n"
_SPAWN = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"


@pytest.fixture(scope="module", params=["ordinary", "caller"])
def place(request: pytest.FixtureRequest, installation: Installation) -> Box:
    """A box of each person with a directory of the domain's files, and one without a label beside those with."""
    person: Person = request.getfixturevalue(request.param)
    box = Box(person, installation, person.directory(f"container-{os.urandom(4).hex()}"))
    write_profile(box, "plain", OVERLAY)
    write_profile(box, "first", OVERLAY, FIRST)
    write_profile(box, "second", OVERLAY, SECOND)
    write_profile(box, "own", OVERLAY, OWN)
    write_profile(box, "system", AS_IT_IS, FIRST)
    relabel(box.place, FILES)
    return box


ONCE = pytest.mark.parametrize("place", ["caller"], indirect=True)
AS_ORDINARY = pytest.mark.parametrize("place", ["ordinary"], indirect=True)


def in_terminal(box: Box, *command: str | Path, profile: str, options: tuple[str, ...] = ("-t",)) -> tuple[int, str]:
    """What a person at a terminal sees: the status and all that is written there."""
    words = box.words(command, options, profile=profile)
    done = subprocess.run(
        ["python3", "-c", _SPAWN, *words], cwd=box.place, env=box.person.environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout.replace("\r\n", "\n")


def said(box: Box, script: str, profile: str, options: tuple[str, ...] = ("-t",)) -> str:
    """What a script that succeeds writes to a terminal."""
    status, text = in_terminal(box, "sh", "-c", script, profile=profile, options=options)
    assert status == 0, text
    return text


def test_command_is_in_the_domain_with_the_pair_asked_for_and_does_its_work(place: Box) -> None:
    work = (
        "echo new > made; cat made | tr n m; cp made /tmp/made; cat /tmp/made; cp /bin/env t; ./t echo ran; "
        "ls /usr/bin > /dev/null; sh -c 'echo child'; head -c 4 /dev/urandom | wc -c; sleep 0.01 & wait; kill -0 $$; tty"
    )
    first, *rest = said(place, f"{LABEL}; echo; {work}", "first").splitlines()
    assert domain_and_pair(first) == (DOMAIN, "c1,c2")
    assert rest == ["mew", "new", "ran", "child", "4", "/dev/pts/0"]
    assert (place.place / "made").read_text() == "new\n"
    assert ":unconfined_t:" in said(place, LABEL, "plain")


def test_boxes_own_files_and_what_it_makes_have_its_pair(place: Box) -> None:
    pair, *labels = said(place, f"{LABEL}; echo; echo x > kept; stat -c %C / /usr/bin/sh /dev/shm kept", "own").splitlines()
    _, mine = domain_and_pair(pair)
    assert {label.split(":", 2)[2] for label in labels} == {f"{FILES}:s0:{mine}"}
    assert domain_and_pair(said(place, LABEL, "own"))[1] != mine
    refused = "cat kept 2> /dev/null || echo refused"
    assert said(place, refused, "own") == "refused\n"  # another pair: who shares files has categories by name
    assert said(place, refused, "plain") == "x\n"


def test_files_of_another_pair_are_refused_and_those_of_its_own_or_of_none_are_read(place: Box) -> None:
    for level in ("s0", "s0:c1,c2", "s0:c2,c3"):
        relabel(place.write(level, f"{level}\n"), FILES, level)
    tries = "for file in s0 s0:c1,c2 s0:c2,c3; do cat $file 2> /dev/null || echo refused; done"
    assert said(place, tries, "plain").split() == ["s0", "s0:c1,c2", "s0:c2,c3"]
    assert said(place, tries, "first").split() == ["s0", "s0:c1,c2", "refused"]
    assert said(place, tries, "second").split() == ["s0", "refused", "s0:c2,c3"]
    assert denials("{ read }", f"{DOMAIN}:s0:c1,c2", f"{FILES}:s0:c2,c3")


def test_files_of_another_type_are_refused_and_its_own_and_those_for_reading_are_not(place: Box) -> None:
    kinds = ("user_home_t", "shadow_t", FIXED, FILES)
    for kind in kinds:
        relabel(place.write(kind, "text\n"), kind)
    script = (
        f"for kind in {' '.join(kinds)}; do cat $kind > /dev/null && echo $kind read; echo x >> $kind && echo $kind wrote; done "
        "2> /dev/null; true"
    )
    every = [f"{kind} {what}" for kind in kinds for what in ("read", "wrote")]
    assert said(place, script, "plain").splitlines() == every
    assert said(place, script, "first").splitlines() == [f"{FIXED} read", f"{FILES} read", f"{FILES} wrote"]


def test_domain_is_entered_through_its_own_files_alone(place: Box) -> None:
    """The system as it is shown has other types: the first program has to be the domain's, and may execute those then."""
    program = place.write("env", mode=0o755)
    program.write_bytes(Path("/usr/bin/env").read_bytes())
    relabel(program, FILES)
    status, text = in_terminal(place, program, "cat", "/proc/self/attr/current", profile="system")
    assert (status, domain_and_pair(text.rstrip("\0"))[0]) == (0, DOMAIN)
    for other in (Path("/usr/bin/env"), relabelled(program, FIXED)):
        status, text = in_terminal(place, other, "true", profile="system")
        assert status == 126
        assert "its type is none that the SELinux domain is entered through" in text
    assert denials("{ entrypoint }", DOMAIN, ":bin_t:")


def relabelled(path: Path, kind: str) -> Path:
    relabel(path, kind)
    return path


def test_what_the_domain_may_not_read_of_the_system_is_refused_to_the_command_alone(place: Box) -> None:
    tries = "for file in /etc/ssl/openssl.cnf /etc/ld.so.cache; do cat $file > /dev/null 2>&1 && echo read || echo refused; done"
    assert said(place, tries, "plain").split() == ["read", "read"]
    assert said(place, tries, "first").split() == ["refused", "read"]


def test_directory_of_another_type_is_refused_ahead_and_an_overlay_of_it_is_not(place: Box) -> None:
    box = Box(place.person, place.installation, place.person.directory(f"unlabelled-{os.urandom(4).hex()}"))
    box.write("note", "note\n")
    relabel(box.place, "var_t")
    write_profile(box, "first", OVERLAY, FIRST)
    refusal = box.refusal(profile="first")
    assert f"{box.place} has the label system_u:object_r:var_t:s0, which it may not write to" in refusal
    assert f"try: chcon -R -t {FILES} {box.place}" in refusal
    over = "filesystem: {{overlay: [/usr/bin, '{place}'], execute: [/usr], working_directory: '{place}'}}\n"
    write_profile(box, "over", over, FIRST)
    assert said(box, "cat note; echo x > note; cat note", "over").split() == ["note", "x"]
    assert (box.place / "note").read_text() == "note\n"
    relabel(box.place, FILES)
    assert said(box, "cat note", "first") == "note\n"


def test_pipe_that_the_domain_may_not_use_is_refused_ahead_and_a_terminal_is_not(place: Box) -> None:
    done = place.run("sh", "-c", "echo ran > trace; echo ran", profile="first")
    assert (done.returncode, done.stdout) == (125, "")
    assert f"standard input is a pipe that the SELinux domain {DOMAIN} may not use" in done.stderr
    assert PIPES.strip() in done.stderr
    assert not (place.place / "trace").exists()
    assert said(place, "echo ran", "first", ()) == "ran\n"  # the terminal is the caller's


@AS_ORDINARY
def test_pipes_work_where_the_policy_grants_them_and_the_caller_has_no_categories(place: Box) -> None:
    """The advice of the refusal, word by word, with the plan of before: what is handed in is looked at at each start."""
    module = Path("/tmp/container_pipes.cil")
    module.write_text(PIPES)
    subprocess.run(["semodule", "-i", module], check=True, capture_output=True)
    try:
        command = ("sh", "-c", f"cat; {LABEL}")
        done = place.run(*command, profile="own", stdin="text\n")
        assert (done.returncode, done.stdout) == (125, "")  # its pipes still have all categories
        done = run_at_s0(place, place.words(command, profile="own"))
        assert done.returncode == 0, done.stderr
        text, label = done.stdout.splitlines()
        assert (text, domain_and_pair(label)[0]) == ("text", DOMAIN)
        code = "import sandboxer; print(sandboxer.run(['cat'], profile='own', stdin=b'text').stdout.decode())"
        done = run_at_s0(place, [*place.person.prefix, place.installation.python, "-c", code])
        assert (done.returncode, done.stdout) == (0, "text\n"), done.stderr
    finally:
        subprocess.run(["semodule", "-r", "container_pipes"], check=True, capture_output=True)


def run_at_s0(box: Box, words: list[str | Path] | list[str]) -> subprocess.CompletedProcess[str]:
    """A command whose caller makes its pipes without categories."""
    script = 'echo text | "$@" 2>&1 | cat'
    return subprocess.run(
        ["runcon", "-l", "s0", "bash", "-c", f"set -o pipefail; {script}", "sh", *map(str, words)],
        cwd=box.place, env=box.person.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip


@AS_ORDINARY
def test_call_is_refused_ahead_and_works_in_a_box_without_a_domain(place: Box) -> None:
    code = "import textwrap, sandboxer; print(sandboxer.sandboxed(profile='{}')(textwrap.dedent)('  text'))"
    words = [place.installation.python, "-c"]
    done = place.person.run([*words, code.format("first")], cwd=place.place)
    assert done.returncode == 1
    assert f"UnsupportedError: standard input is a socket that the SELinux domain {DOMAIN} may not use" in done.stderr
    done = place.person.run([*words, code.format("plain")], cwd=place.place)
    assert (done.returncode, done.stdout) == (0, "text\n"), done.stderr


@AS_ORDINARY
def test_limited_outputs_are_refused_ahead_and_a_terminal_is_not(place: Box) -> None:
    write_profile(place, "limited", OVERLAY, f"{FIRST}limits: {{output: 1M}}\n")
    done = place.run("true", profile="limited")
    assert done.returncode == 125
    assert "limited outputs go through pipes of unconfined_u:" in done.stderr
    assert said(place, "echo ran", "limited") == "ran\n"


@AS_ORDINARY
def test_box_without_categories_reads_no_file_that_has_some(place: Box) -> None:
    write_profile(place, "bare", OVERLAY, f"selinux: {{type: {DOMAIN}, categories: none}}\n")
    for level in ("s0", "s0:c1,c2"):
        relabel(place.write(f"bare-{level}", f"{level}\n"), FILES, level)
    tries = "for file in bare-s0 bare-s0:c1,c2; do cat $file 2> /dev/null || echo refused; done"
    assert said(place, tries, "bare").split() == ["s0", "refused"]
    assert said(place, tries, "first").split() == ["s0", "s0:c1,c2"]


@AS_ORDINARY
def test_domain_that_the_policy_lacks_is_refused_and_best_effort_runs_and_says_so(place: Box) -> None:
    section = "selinux: {{type: nosuch_t, file_type: tmp_t, enforce: {enforce}}}\n"
    write_profile(place, "lacking", OVERLAY, section.format(enforce="required"))
    assert "the policy has no context unconfined_u:unconfined_r:nosuch_t:s0:" in place.refusal(profile="lacking")
    write_profile(place, "lacking", OVERLAY, section.format(enforce="best_effort"))
    done = place.run("sh", "-c", LABEL, profile="lacking", options=["--verbose"])
    assert done.returncode == 0, done.stderr
    assert ":unconfined_t:" in done.stdout
    assert "weakened: selinux: the SELinux domain nosuch_t cannot hold the command" in done.stderr


@AS_ORDINARY
def test_permissive_kernel_is_told_and_a_required_domain_refused(place: Box, permissive: None) -> None:
    assert "SELinux is permissive" in place.refusal(profile="first")
    write_profile(place, "easy", OVERLAY, FIRST.replace("}", ", enforce: best_effort}"))
    done = place.run("sh", "-c", LABEL, profile="easy", options=["--verbose"])
    assert (done.returncode, domain_and_pair(done.stdout)[0]) == (0, DOMAIN), done.stderr
    assert "weakened: selinux: SELinux is permissive" in done.stderr
