"""Boxes in SELinux domains that are made of their own policies, in a kernel that enforces them, for either person.

A module names types and no paths, so all tests share two modules, which are loaded once: that takes the machine long. What the
modules refuse is always tried without a label too, where the mounts let it pass.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import time
from pathlib import Path

from sandboxer.controls.lsm.selinux import SHARED_TYPE
from sandboxer.model.op import LabelMounts, SetExecContext, Text
from tests.launcher.plans import boxed, boxed_end, launch, plan, shell
from tests.live.boxes import Box
from tests.vm.selinux.labelled import (
    AS_ORDINARY,
    GENERATE,
    LABEL,
    ONCE,
    OTHER,
    PROJECT,
    denials,
    domain_and_pair,
    load,
    relabel,
    write_profile,
)  # fmt: skip


def test_command_is_in_the_domain_with_a_pair_of_its_own_and_does_its_work(project: Box, module: str) -> None:
    work = (
        "cat kept/note; echo new > own; cat own | tr n m; cp own /tmp/own; cat /tmp/own; cp /bin/true t; ./t && echo ran; "
        "ls /usr/bin > /dev/null; sh -c 'echo child'; sleep 0.01 & wait; kill -0 $$"
    )
    done = project.run("sh", "-c", f"{LABEL}; echo; {work}", profile="labelled")
    assert done.returncode == 0, done.stderr
    assert "denied" not in done.stderr.lower()
    first, *rest = done.stdout.splitlines()
    domain, pair = domain_and_pair(first)
    assert (domain, rest) == (f"{module}_t", ["note", "mew", "new", "ran", "child"])
    again = domain_and_pair(project.output("sh", "-c", LABEL, profile="labelled"))
    assert again[0] == domain
    assert again[1] != pair
    assert ":unconfined_t:" in project.output("sh", "-c", LABEL, profile="plain")


@AS_ORDINARY
def test_python_does_its_work_in_the_domain(project: Box, module: str) -> None:
    code = """
        import ctypes, socket, subprocess, tempfile
        tempfile.TemporaryFile().write(b'x')
        one, other = socket.socketpair()
        one.send(b'x')
        print(subprocess.run(['echo', 'child'], capture_output=True).stdout.decode().strip(), other.recv(1).decode())
    """
    assert project.output(*project.python(code), profile="labelled") == "child x\n"


def test_files_of_the_box_have_its_pair_and_those_of_the_project_have_none(project: Box, module: str) -> None:
    script = f"{LABEL}; echo; echo x > /tmp/f; echo x > made; stat -c %C /tmp/f / /dev/shm made"
    first, own, root, memory, made = project.output("sh", "-c", script, profile="labelled").splitlines()
    _, pair = domain_and_pair(first)
    assert {":".join(label.split(":")[2:]) for label in (own, root, memory)} == {f"{module}_file_t:s0:{pair}"}
    assert made.split(":")[2:] == [SHARED_TYPE, "s0"]


def test_box_cannot_read_the_files_of_a_box_with_another_pair_and_can_with_the_same(project: Box, module: str) -> None:
    write_profile(project, "first", PROJECT, "selinux: {type: generate, categories: 'c1,c2'}\n")
    write_profile(project, "second", PROJECT, "selinux: {type: generate, categories: 'c2,c3'}\n")
    project.write("planted", "text\n")
    relabel(project.place / "planted", level="s0:c1,c2")
    read = ("sh", "-c", "cat planted && echo read || echo refused")
    assert project.output(*read, profile="plain") == "text\nread\n"
    assert project.output(*read, profile="first") == "text\nread\n"
    for name in ("second", "labelled"):
        assert project.output(*read, profile=name) == "refused\n"
    assert denials("{ read }", "s0:c2,c3", "tcontext=system_u:object_r:sandboxer_file_t:s0:c1,c2")
    relabel(project.place / "planted")
    assert project.output(*read, profile="second") == "text\nread\n"


@AS_ORDINARY
def test_label_without_a_reaper_is_refused(project: Box, module: str) -> None:
    assert "a label needs a reaper as pid 1" in _refusal_of(project, PROJECT, f"process: {{init: false}}\n{GENERATE}")


def _refusal_of(box: Box, text: str, more: str) -> str:
    write_profile(box, "refused", text, more)
    return box.refusal(profile="refused")


def test_type_that_is_not_granted_is_refused_where_the_mounts_let_it_pass(project: Box, module: str) -> None:
    """etc_t is granted for reading: it is the twin of the others, and refused for writing."""
    kinds = ("user_home_t", "shadow_t", "etc_t", SHARED_TYPE)
    for kind in kinds:
        project.write(kind, "text\n")
        relabel(project.place / kind, kind)
    tries = "cat $kind > /dev/null && echo $kind read; echo x >> $kind && echo $kind wrote"
    script = f"for kind in {' '.join(kinds)}; do {tries}; done 2> /dev/null; true"
    every = [f"{kind} {what}" for kind in kinds for what in ("read", "wrote")]
    assert project.output("sh", "-c", script, profile="plain").splitlines() == every
    found = project.output("sh", "-c", script, profile="labelled").splitlines()
    assert found == ["etc_t read", f"{SHARED_TYPE} read", f"{SHARED_TYPE} wrote"]
    for kind in kinds[:3]:
        assert denials(f"{module}_t", f":{kind}:")


@AS_ORDINARY
def test_domain_of_a_box_without_a_network_refuses_sockets(project: Box, module: str) -> None:
    network = "network: {mode: loopback}\nseccomp: {allow: ['@network']}\n"
    code = "import socket; socket.socketpair(); print('unix', flush=True); socket.socket(socket.AF_INET); print('inet')"
    write_profile(project, "open", PROJECT, network)
    write_profile(project, "under", PROJECT, f"{network}selinux: {{type: {module}_t, file_type: {module}_file_t}}\n")
    assert project.output(*project.python(code), profile="open") == "unix\ninet\n"
    done = project.run(*project.python(code), profile="under")
    assert (done.returncode, done.stdout) == (1, "unix\n")
    assert "PermissionError" in done.stderr
    assert denials(f"{module}_t", "tclass=tcp_socket")


def test_directory_without_the_label_is_refused_with_the_command_and_an_overlay_of_it_needs_none(
    project: Box, module: str
) -> None:
    box = Box(project.person, project.installation, project.person.directory("unlabelled"))
    box.write("note", "note\n")
    write_profile(box, "labelled", PROJECT.replace(", read_only: ['{place}/kept']", ""), GENERATE)
    relabel(box.place, "var_t")
    said = box.refusal(profile="labelled")
    assert f"{box.place} has the label system_u:object_r:var_t:s0, which it may not write to" in said
    assert f"try: chcon -R -t {SHARED_TYPE} {box.place}" in said
    over = "filesystem: {{overlay: ['{place}'], execute: ['{place}'], working_directory: '{place}'}}\n"
    write_profile(box, "over", over, GENERATE)
    load(box, "over")
    script = "cat note; echo x > made && cat made; cp /bin/true t; ./t && echo ran"
    assert box.output("sh", "-c", script, profile="over").split() == ["note", "x", "ran"]
    assert not (box.place / "made").exists()
    relabel(box.place)
    assert box.output("cat", "note", profile="labelled") == "note\n"


def test_module_that_is_not_loaded_is_refused_with_the_command_and_best_effort_runs_and_says_so(project: Box) -> None:
    write_profile(project, "other", OTHER, GENERATE)
    said = project.refusal(profile="other")
    assert "the module is not loaded" in said
    command = "sandboxer policy install other" if project.person.uid == 0 else "sandboxer export selinux other > sandboxer_"
    assert f"try: {command}" in said
    write_profile(project, "easy", OTHER, "selinux: {type: generate, enforce: best_effort}\n")
    done = project.run("sh", "-c", LABEL, profile="easy", options=["--verbose"])
    assert done.returncode == 0, done.stderr
    assert ":unconfined_t:" in done.stdout
    assert "weakened: selinux: the SELinux domain sandboxer_" in done.stderr


def test_policy_install_loads_what_a_box_needs_and_a_plan_of_before_is_refused_when_it_is_gone(project: Box) -> None:
    write_profile(project, "other", OTHER, GENERATE)
    words = [project.installation.command, "policy"]
    done = project.person.run([*words, "install", "other"], cwd=project.place)
    if project.person.uid != 0:
        assert done.returncode == 125
        assert "try: sandboxer export selinux other > sandboxer_" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    assert project.output("sh", "-c", LABEL, profile="other").split(":")[2] == f"{done.stdout.split()[-1]}_t"
    gone = project.person.run([*words, "remove", "other"], cwd=project.place)
    assert (gone.returncode, gone.stdout) == (0, done.stdout)
    again = project.run("sh", "-c", "echo ran", profile="other")
    assert (again.returncode, again.stdout) == (125, "")
    assert "SELinux's policy does not know the context" in again.stderr


@AS_ORDINARY
def test_plan_in_a_file_cannot_have_categories_of_its_own_and_can_have_two_by_name(project: Box, module: str) -> None:
    words = [project.installation.command, "compile", "-o", "plan", "--profile"]
    done = project.person.run([*words, "labelled", "--", "sh", "-c", LABEL], cwd=project.place)
    assert done.returncode == 125
    assert "a plan in a file cannot have categories of its own" in done.stderr
    write_profile(project, "first", PROJECT, "selinux: {type: generate, categories: 'c1,c2'}\n")
    done = project.person.run([*words, "first", "--", "sh", "-c", LABEL], cwd=project.place)
    assert done.returncode == 0, done.stderr


@ONCE
def test_domain_that_the_policy_lacks_is_refused(project: Box, module: str) -> None:
    said = _refusal_of(project, PROJECT, "selinux: {type: nosuch_t, file_type: tmp_t}\n")
    assert "the policy has no context" in said
    assert project.output("echo", "ran", profile="labelled") == "ran\n"


@ONCE
def test_launcher_ends_at_a_context_that_the_kernel_refuses_and_goes_on_with_one_that_it_takes(project: Box) -> None:
    def run(op: SetExecContext | LabelMounts) -> tuple[str, int, int]:
        before, inside = boxed()
        ops = [op, *inside, *boxed_end()] if isinstance(op, LabelMounts) else [*inside, *boxed_end(), op]
        ended = launch(plan(before, ops, shell("echo ran")))
        return ended.out, ended.record["fail_op"], ended.record["fail_errno"]

    assert run(SetExecContext(Text("unconfined_u:unconfined_r:nosuch_t:s0"))) == ("", SetExecContext.TAG, errno.EINVAL)
    assert run(SetExecContext(Text("unconfined_u:unconfined_r:unconfined_t:s0"))) == ("ran\n", 0, 0)
    out, _, error = run(LabelMounts(Text("system_u:object_r:nosuch_t:s0")))
    assert (out, error) == ("", errno.EINVAL)
    assert run(LabelMounts(Text("system_u:object_r:tmp_t:s0"))) == ("ran\n", 0, 0)


@AS_ORDINARY
def test_permissive_kernel_is_told_and_a_required_section_refused(project: Box, module: str, permissive: None) -> None:
    assert "SELinux is permissive" in project.refusal(profile="labelled")
    write_profile(project, "easy", PROJECT, "selinux: {type: generate, enforce: best_effort}\n")
    done = project.run("sh", "-c", LABEL, profile="easy", options=["--verbose"])
    assert (done.returncode, domain_and_pair(done.stdout)[0]) == (0, f"{module}_t"), done.stderr
    assert "weakened: selinux: SELinux is permissive" in done.stderr


@AS_ORDINARY
def test_stream_that_is_a_file_is_refused_and_not_lost(project: Box, module: str) -> None:
    out = project.write("out")
    with open(out, "w") as file:
        words = project.words(["sh", "-c", "echo text"], profile="labelled")
        done = subprocess.run(
            words, cwd=project.place, env=project.person.environment(), stdin=subprocess.DEVNULL, stdout=file,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert (done.returncode, out.read_text()) == (125, "")
    assert "a standard stream is a file of the host" in done.stderr
    done = project.run("cat", profile="labelled", stdin="text\n")
    assert (done.returncode, done.stdout) == (0, "text\n"), done.stderr


@AS_ORDINARY
def test_box_in_a_domain_can_be_ended_from_outside(project: Box, module: str) -> None:
    script = "trap 'echo told; exit 3' TERM; sleep 1000 & wait"
    done = project.run("sh", "-c", script, profile="labelled", options=["--timeout", "1s"])
    assert done.stdout == "told\n"
    assert "the wall clock limit" in done.stderr


def holds(pair: str) -> bool:
    """Whether a pair is somebody's."""
    return f"@sandboxer/categories/{pair}\n" in Path("/proc/net/unix").read_text()


def test_pair_is_the_boxs_alone_while_it_runs_and_free_when_sandboxer_is_killed(project: Box, module: str) -> None:
    script = f"{LABEL}; echo; exec sleep 1000"
    words = project.words(["sh", "-c", script], profile="labelled")
    started = subprocess.Popen(
        words, cwd=project.place, env=project.person.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    with started:
        assert started.stdout is not None
        _, pair = domain_and_pair(started.stdout.readline())
        assert holds(pair)
        os.killpg(started.pid, signal.SIGKILL)
        assert started.stdout.read() == ""  # the box is gone, and with it the last one who could write
    for _ in range(100):
        if not holds(pair):
            break
        time.sleep(0.05)
    assert not holds(pair)


def test_command_with_a_terminal_is_in_the_domain(project: Box, module: str) -> None:
    words = project.words(["sh", "-c", f"{LABEL}; echo; tty; test -t 1 && echo terminal"], ["-t"], profile="labelled")
    code = f"import pty, sys; sys.exit(pty.spawn({words!r}) >> 8)"
    done = subprocess.run(
        ["python3", "-c", code], cwd=project.place, env=project.person.environment(), stdin=subprocess.DEVNULL,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    first, *rest = done.stdout.split()
    assert domain_and_pair(first)[0] == f"{module}_t"
    assert rest == ["/dev/pts/0", "terminal"]


@ONCE
def test_descriptor_that_the_domain_would_lose_is_refused_and_one_that_it_may_use_is_kept(project: Box, module: str) -> None:
    write_profile(project, "handed", PROJECT, f"options: {{fds: [5]}}\n{GENERATE}")
    path = project.write("handed", "text\n")

    def run() -> subprocess.CompletedProcess[str]:
        words = project.words(["cat", "/proc/self/fd/5"], ["--fd", "5"], profile="handed")
        return project.person.run(["sh", "-c", f'exec "$@" 5< {path}', "sh", *words], cwd=project.place)

    relabel(path, "shadow_t")
    done = run()
    assert (done.returncode, done.stdout) == (125, "")
    assert f"descriptor 5 is a file that the SELinux domain {module}_t may not use" in done.stderr
    relabel(path)
    assert run().stdout == "text\n"
