"""Boxes under AppArmor profiles that are made of their own policies, in a kernel that enforces them, for either person.

What a policy does not grant is refused by the mounts already. So a box is put under the label of a narrower policy too, and
what it is refused there, and not without the label, is AppArmor's doing.
"""

from __future__ import annotations

import subprocess

from tests.live.boxes import Box
from tests.vm.apparmor.labels import LABEL, PROJECT, READ, denials, kernel_log, load, write_profile


def test_profile_that_is_not_loaded_is_refused_with_the_command_that_loads_it(project: Box) -> None:
    done = project.run("sh", "-c", "echo ran", profile="labelled")
    assert (done.returncode, done.stdout) == (125, "")
    assert "is not loaded in the mode enforce" in done.stderr
    is_root = project.person.uid == 0
    command = "sandboxer policy install labelled" if is_root else "sandboxer export apparmor labelled | sudo apparmor_parser"
    assert f"try: {command}" in done.stderr


def test_command_is_under_the_profile_and_does_its_work(project: Box, labels: list[str]) -> None:
    label = load(project, "labelled", labels)
    work = (
        "cat kept/note; echo new > own; cat own | tr n m; cp own /tmp/own; ls /tmp; ln own more; sh -c 'echo child'; kill -0 $$"
    )
    done = project.run("sh", "-c", f"{LABEL}; {work}", profile="labelled")
    assert done.returncode == 0, done.stderr
    assert "denied" not in done.stderr.lower()
    assert done.stdout.split("\n")[:-1] == [f"{label} (enforce)", "note", "mew", "own", "child"]
    assert project.output("sh", "-c", LABEL, profile="plain") == "unconfined\n"
    assert not denials(label, "open")


def test_policy_install_loads_what_a_box_of_roots_needs_and_remove_removes_it(project: Box, labels: list[str]) -> None:
    done = project.person.run([project.installation.command, "policy", "install", "labelled"], cwd=project.place)
    if project.person.uid != 0:
        assert done.returncode == 125
        assert "try: sandboxer export apparmor labelled | sudo apparmor_parser --replace" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    labels.append(done.stdout.split()[-1])
    assert project.output("sh", "-c", LABEL, profile="labelled") == f"{labels[-1]} (enforce)\n"
    again = project.person.run([project.installation.command, "policy", "install", "labelled"], cwd=project.place)
    assert (again.returncode, again.stdout) == (0, done.stdout)
    gone = project.person.run([project.installation.command, "policy", "remove", "labelled"], cwd=project.place)
    assert gone.returncode == 0, gone.stderr
    assert project.run("true", profile="labelled").returncode == 125


def test_label_holds_files_that_the_mounts_let_pass(project: Box, labels: list[str]) -> None:
    write_profile(project, "narrow", READ)
    label = load(project, "narrow", labels)
    write_profile(project, "under", PROJECT, f"apparmor: {{profile: {label}}}\n")
    work = "cat kept/note; echo x > made && echo wrote || echo refused; cp /bin/true run && ./run && echo ran || echo refused"
    assert project.output("sh", "-c", work, profile="plain").split() == ["note", "wrote", "ran"]
    subprocess.run(["rm", "-f", project.place / "made", project.place / "run"], check=True)
    done = project.run("sh", "-c", work, profile="under")
    assert done.stdout.split() == ["note", "refused", "refused"]
    assert not (project.place / "made").exists()
    assert denials(label, "mknod")


def test_label_keeps_what_is_read_only_in_a_tree_that_can_be_written(project: Box, labels: list[str]) -> None:
    label = load(project, "plain", labels)
    loose = PROJECT.replace("read_only: ['{place}/kept'], ", "")
    write_profile(project, "loose", loose)
    write_profile(project, "under", loose, f"apparmor: {{profile: {label}}}\n")
    work = "echo x > kept/new && echo wrote || echo refused; echo x > beside && echo wrote; cat kept/note"
    assert project.output("sh", "-c", f"{work}; rm kept/new", profile="loose").split() == ["wrote", "wrote", "note"]
    assert project.output("sh", "-c", work, profile="under").split() == ["refused", "wrote", "note"]


def test_label_of_a_box_without_a_network_refuses_sockets(project: Box, labels: list[str]) -> None:
    label = load(project, "plain", labels)
    network = "network: {mode: loopback}\nseccomp: {allow: ['@network']}\n"
    code = "import socket; socket.socketpair(); print('unix', flush=True); socket.socket(socket.AF_INET); print('inet')"
    write_profile(project, "open", PROJECT, network)
    write_profile(project, "under", PROJECT, f"{network}apparmor: {{profile: {label}}}\n")
    assert project.output(*project.python(code), profile="open") == "unix\ninet\n"
    done = project.run(*project.python(code), profile="under")
    assert (done.returncode, done.stdout) == (1, "unix\n")
    assert "PermissionError" in done.stderr
    assert denials(label, "create")


def test_box_under_a_label_can_be_ended_from_outside(project: Box, labels: list[str]) -> None:
    load(project, "labelled", labels)
    script = "trap 'echo told; exit 3' TERM; sleep 1000 & wait"
    done = project.run("sh", "-c", script, profile="labelled", options=["--timeout", "1s"])
    assert done.stdout == "told\n"
    assert "the wall clock limit" in done.stderr


def test_stream_that_is_a_file_is_refused_and_not_lost(project: Box, labels: list[str]) -> None:
    load(project, "labelled", labels)
    out = project.write("out")
    with open(out, "w") as file:
        words = project.words(["sh", "-c", "echo text"], profile="labelled")
        done = subprocess.run(
            words, cwd=project.place, env=project.person.environment(), stdin=subprocess.DEVNULL, stdout=file,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert (done.returncode, out.read_text()) == (125, "")
    assert "a standard stream is a file of the host" in done.stderr
    assert project.output("sh", "-c", "echo text", profile="labelled") == "text\n"


def test_best_effort_runs_without_a_label_says_so_and_takes_it_when_it_is_there(project: Box, labels: list[str]) -> None:
    write_profile(project, "easy", PROJECT, "apparmor: {profile: generate, enforce: best_effort}\n")
    done = project.run("sh", "-c", LABEL, profile="easy", options=["--verbose"])
    assert (done.returncode, done.stdout) == (0, "unconfined\n")
    assert "weakened: apparmor: the AppArmor profile sandboxer-" in done.stderr
    label = load(project, "easy", labels)
    assert project.output("sh", "-c", LABEL, profile="easy") == f"{label} (enforce)\n"


def test_complaining_profile_records_and_lets_happen(project: Box, labels: list[str]) -> None:
    write_profile(project, "narrow", READ, "apparmor: {profile: generate, mode: complain}\n")
    label = load(project, "narrow", labels)
    write_profile(project, "under", PROJECT, f"apparmor: {{profile: {label}, mode: complain}}\n")
    write_profile(project, "strictly", PROJECT, f"apparmor: {{profile: {label}}}\n")
    assert project.output("sh", "-c", f"echo x > made; {LABEL}", profile="under") == f"{label} (complain)\n"
    assert (project.place / "made").exists()
    assert any('apparmor="ALLOWED"' in line and label in line for line in kernel_log())
    refused = project.run("true", profile="strictly")
    assert refused.returncode == 125
    assert f"the kernel has it as {label} (complain)" in refused.stderr


def test_plan_of_before_is_refused_when_the_profile_is_gone(project: Box, labels: list[str]) -> None:
    label = load(project, "labelled", labels)
    assert project.run("true", profile="labelled").returncode == 0
    subprocess.run(["sh", "-c", f"printf %s {label} > /sys/kernel/security/apparmor/.remove"], check=True)
    done = project.run("sh", "-c", "echo ran", profile="labelled")
    assert (done.returncode, done.stdout) == (125, "")
    assert "no AppArmor profile of that name is loaded" in done.stderr
