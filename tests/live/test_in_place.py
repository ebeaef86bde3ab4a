"""`sandboxer.restrict`: a process confines itself. What was possible a moment ago is refused, and what is granted goes on."""

from __future__ import annotations

import os
import shutil
import socket

import pytest

from tests.live.boxes import Box
from tests.live.confined import LESS, confine, on_both_sides
from tests.live.needs import needs


@needs("landlock>=3")
def test_files_outside_are_refused_and_granted_ones_are_not(box: Box) -> None:
    secret = box.person.home / "secret"
    secret.write_text("text")
    os.chown(secret, box.person.uid, box.person.gid)
    box.write("own")
    look = f"""\
    def look(where):
        return {{
            "secret": attempt(read, {str(secret)!r}), "cut": attempt(os.truncate, {str(secret)!r}, 4),
            "beside": attempt(write, {str(secret) + "-2"!r} + where), "list": attempt(os.listdir, {str(box.person.home)!r}),
            "own": attempt(read, "own"), "change": attempt(write, "own"), "make": attempt(write, "new-" + where),
            "move": attempt(os.rename, "new-" + where, "moved-" + where), "list own": attempt(os.listdir, "."),
            "library": attempt(os.listdir, "/usr"), "null": attempt(write, "/dev/null"),
            "proc": attempt(read, "/proc/self/status"),
        }}
    """
    before, after = on_both_sides(box, look)
    assert set(before.values()) == {"ok"}
    refused = dict.fromkeys(("secret", "cut", "beside", "list", "proc"), "EACCES")
    assert after == {**before, **refused}


@needs("landlock>=3")
def test_programs_are_executed_where_the_profile_says_so(box: Box) -> None:
    shutil.copy("/usr/bin/true", box.place / "mine")
    (box.place / "mine").chmod(0o755)
    look = "def look(where): return [attempt(execute, path) for path in ('/usr/bin/true', './mine')]"
    box.profile("filesystem: {read: ['${cwd}']}", policies=["box/application"])
    assert on_both_sides(box, look) == (["ok", "ok"], ["ok", "EACCES"])
    box.profile("filesystem: {execute: ['${cwd}']}", policies=["box/application"])
    assert on_both_sides(box, look)[1] == ["ok", "ok"]


@needs("landlock>=3")
@needs("x86_64")
def test_system_calls_are_refused_as_in_a_box(box: Box) -> None:
    box.profile("seccomp: {deny: [getpriority], errno: {ENODATA: [getpriority]}}")
    look = "def look(where): return [raw(140, 0, 0), raw(121, 0) >= 0, raw(272, 0)]"  # getpriority, getpgid, unshare
    before, after = on_both_sides(box, look)
    assert isinstance(before[0], int)
    assert before[1:] == [True, 0]
    assert after == ["ENODATA", True, "EPERM"]


@needs("landlock>=3")
def test_without_a_network_only_unix_sockets_can_be_made(box: Box) -> None:
    look = """\
    def look(where):
        made = [attempt(lambda: socket.socket(kind, socket.SOCK_DGRAM).close())
                for kind in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_UNIX)]
        return [*made, attempt(lambda: [end.close() for end in socket.socketpair()])]
    """
    before, after = on_both_sides(box, look)
    assert set(before) == {"ok"}
    assert after == ["EAFNOSUPPORT"] * 3 + ["ok"] * 2


@needs("landlock>=3")
def test_loopback_of_ones_own_is_not_the_hosts(box: Box) -> None:
    box.profile("network: {mode: loopback}")
    look = "def look(where): return attempt(lambda: socket.socket().close())"
    assert on_both_sides(box, look) == ("ok", "EAFNOSUPPORT")


@needs("landlock>=4")
def test_ports_are_held_by_landlock_where_the_profile_gives_a_network(box: Box) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [one.getsockname()[1], other.getsockname()[1]]
        box.profile(f"network: {{mode: host}}\nlandlock: {{connect_tcp: [{ports[0]}], bind_tcp: []}}")
        look = f"""\
        def look(where):
            found = [attempt(lambda: socket.create_connection(("127.0.0.1", port)).close()) for port in {ports}]
            return [*found, attempt(lambda: socket.create_server(("127.0.0.1", 0)).close())]
        """
        assert on_both_sides(box, look) == (["ok"] * 3, ["ok", "EACCES", "EACCES"])


@needs("landlock>=3")
def test_limits_hold_and_none_goes_up(box: Box) -> None:
    box.profile("limits: {open_files: 64, file_size: 1M, core: 1M}")
    look = """\
    if not seen: resource.setrlimit(resource.RLIMIT_CORE, (4096, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    def look(where):
        opened = []
        full = attempt(lambda: [opened.append(os.open("/dev/null", os.O_RDONLY)) for _ in range(100)])
        for one in opened: os.close(one)
        def raised():
            try: resource.setrlimit(resource.RLIMIT_NOFILE, (65, 65))
            except ValueError: raise PermissionError(1, "")
        return [full, len(opened) < 64, resource.getrlimit(resource.RLIMIT_CORE)[0],
                attempt(raised) if where == "after" else "ok"]
    """
    assert on_both_sides(box, look) == (["ok", False, 4096, "ok"], ["EMFILE", True, 4096, "EPERM"])


@needs("landlock>=3")
def test_what_it_starts_is_confined_too(box: Box) -> None:
    (box.person.home / "other").write_text("text")
    os.chown(box.person.home / "other", box.person.uid, box.person.gid)
    box.write("own", "mine")
    look = f"""\
    import subprocess
    def look(where):
        done = [subprocess.run(["sh", "-c", 'cat "$1"', "sh", path], capture_output=True) for path in
                ({str(box.person.home / "other")!r}, "own")]
        return [(one.returncode, one.stdout.decode()) for one in done]
    """
    assert on_both_sides(box, look) == ([[0, "text"], [0, "mine"]], [[1, ""], [0, "mine"]])


@needs("landlock>=3")
def test_nothing_of_it_can_be_taken_back(box: Box) -> None:
    look = """\
    def prctl(*words):
        result = libc.prctl(*(ctypes.c_ulong(word) for word in words))
        return errno.errorcode[ctypes.get_errno()] if result < 0 else result
    def look(where):
        held = prctl(39, 0, 0, 0, 0)
        def gain():
            header = (ctypes.c_uint32 * 2)(0x20080522, 0)
            data = (ctypes.c_uint32 * 6)(1, 1, 0, 0, 0, 0)
            if libc.capset(header, data): raise OSError(ctypes.get_errno(), "")
        return [held, prctl(38, 0, 0, 0, 0), attempt(gain) if where == "after" else "", prctl(23, 0)]
    """
    before, after = on_both_sides(box, look)
    assert before[:2] == [0, "EINVAL"]
    # CAPBSET_READ: root has dropped it; whoever may not drop it cannot use it under no_new_privs.
    assert after == [1, "EINVAL", "EPERM", 0 if box.person.uid == 0 else before[3]]


@needs("landlock>=3")
@needs("root")
def test_programs_of_root_give_no_rights(box: Box) -> None:
    program = box.place / "id"
    shutil.copy("/usr/bin/id", program)
    os.chown(program, 0, 0)
    program.chmod(0o4755)
    box.profile("filesystem: {execute: ['${cwd}']}")
    look = "import subprocess\ndef look(where): return subprocess.check_output(['./id', '-u'], text=True).strip()"
    assert on_both_sides(box, look) == ("0", str(box.person.uid))


@needs("landlock>=3")
def test_second_call_narrows_and_cannot_widen(box: Box) -> None:
    box.write("first/file")
    box.write("second/file")
    own = f"filesystem: {{execute: ['{box.installation.package.parents[3]}'], read: ['${{cwd}}/.sandboxer'%s]}}\n"
    box.profile(own % ", '${cwd}/first', '${cwd}/second'" + "limits: {open_files: 100}", policies=["box/application"])
    box.profile(own % ", '${cwd}/first'" + "limits: {open_files: 200}", policies=["box/application"], name="narrow")
    box.profile("network: {mode: host}", name="wide")
    code = """\
    def look():
        return [attempt(read, "first/file"), attempt(read, "second/file"), attempt(write, "made"),
                attempt(lambda: socket.socket().close()), resource.getrlimit(resource.RLIMIT_NOFILE)[0]]
    seen["at first"] = look()
    for name in ("box", "narrow", "wide"):
        sandboxer.restrict(name, weaken=True)
        seen[name] = look()
    """
    assert confine(box, code) == {
        "at first": ["ok", "ok", "ok", "ok", confine(box, "seen['n'] = resource.getrlimit(resource.RLIMIT_NOFILE)[0]")["n"]],
        "box": ["ok", "ok", "EACCES", "EAFNOSUPPORT", 100],
        "narrow": ["ok", "EACCES", "EACCES", "EAFNOSUPPORT", 100],
        "wide": ["ok", "EACCES", "EACCES", "EAFNOSUPPORT", 100],
    }


@needs("landlock>=3")
def test_more_domains_than_the_kernel_stacks_are_refused_and_change_nothing(box: Box) -> None:
    own = f"filesystem: {{execute: ['{box.installation.package.parents[3]}']}}\n"
    box.profile(own)
    box.profile(own + "limits: {open_files: 50}", name="last")
    code = """\
    for _ in range(16): sandboxer.restrict("box", weaken=True)
    try: sandboxer.restrict("last", weaken=True)
    except sandboxer.KernelError as error: seen["error"] = str(error)
    seen["files"] = resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 50
    """
    seen = confine(box, code)
    assert seen["files"]
    assert "E2BIG" in seen["error"]
    assert "16 Landlock domains" in seen["error"]


@needs("landlock>=3")
def test_other_threads_are_a_reason_to_refuse_ahead_of_any_change(box: Box) -> None:
    code = """\
    ends = threading.Event()
    thread = threading.Thread(target=ends.wait)
    thread.start()
    try: sandboxer.restrict("box", weaken=True)
    except sandboxer.UnsupportedError as error: seen["refused"] = str(error)
    seen["home"] = attempt(os.listdir, os.environ["HOME"])
    ends.set(); thread.join()
    sandboxer.restrict("box", weaken=True)
    seen["home again"] = attempt(os.listdir, os.environ["HOME"])
    """
    seen = confine(box, code)
    assert seen["refused"].startswith("this process has 2 threads")
    assert (seen["home"], seen["home again"]) == ("ok", "EACCES")


@needs("landlock>=3")
def test_what_is_open_stays_usable(box: Box) -> None:
    secret = box.person.home / "open"
    secret.write_text("text")
    os.chown(secret, box.person.uid, box.person.gid)
    code = f"""\
    file = open({str(secret)!r})
    directory = os.open(os.environ["HOME"], os.O_RDONLY)
    found = sandboxer.restrict("box", weaken=True)
    seen["read"] = file.read()
    seen["anew"] = attempt(read, {str(secret)!r})
    seen["listed"] = "open" in os.listdir(directory)
    seen["below"] = attempt(lambda: os.open("open", os.O_RDONLY, dir_fd=directory))
    seen["told"] = [line.what for line in found.report.lines if line.status.value == "left open"]
    """
    seen = confine(box, code)
    assert (seen["read"], seen["anew"]) == ("text", "EACCES")
    assert (seen["listed"], seen["below"]) == (True, "EACCES")
    assert seen["told"][0].startswith("descriptors that are open stay usable")


@needs("landlock>=3")
def test_required_sections_refuse_and_name_what_would_be_lost(box: Box) -> None:
    code = """\
    try: sandboxer.restrict("box")
    except sandboxer.UnsupportedError as error: seen["refused"] = [problem.what for problem in error.problems]
    seen["home"] = attempt(os.listdir, os.environ["HOME"])
    seen["lost"] = [line.control for line in sandboxer.restrict("box", weaken=True).lost]
    """
    seen = confine(box, code)
    assert "in place there is no keeping of: a new pid namespace" in seen["refused"]
    assert len(seen["refused"]) <= len(seen["lost"])
    assert seen["home"] == "ok"
    assert {"namespaces", "filesystem"} <= set(seen["lost"])
    assert ("ids" in seen["lost"]) == (box.person.uid == 0)


@needs("landlock>=3")
def test_profile_that_lets_sections_go_needs_no_argument(box: Box) -> None:
    box.profile(LESS)
    code = "found = sandboxer.restrict('box'); seen['lost'] = len(found.lost); seen['kept'] = len(found.kept)"
    seen = confine(box, code)
    assert seen["lost"] >= 4
    assert seen["kept"] > seen["lost"]


@needs("landlock>=3")
def test_hole_in_a_granted_tree_is_told(box: Box) -> None:
    box.write("tree/hidden")
    box.write("tree/kept")
    box.profile("filesystem: {hide: ['${cwd}/tree/hidden'], read_only: ['${cwd}/tree/kept']}")
    code = "seen['lost'] = {line.what: line.lost for line in sandboxer.restrict('box', weaken=True).lost}"
    lost = confine(box, code)["lost"]
    assert lost[f"in granted trees: {box.place}/tree/hidden"] == "what is hidden can be used"
    assert any(f"{box.place}/tree/kept" in what and why == "what is read-only can be changed" for what, why in lost.items())


@needs("landlock>=3")
def test_kernel_without_landlock_confines_no_files_and_is_refused(box: Box) -> None:
    code = """\
    from sandboxer.kernel import calls
    calls.find_landlock_abi = lambda: (0, 95)
    try: sandboxer.restrict("box")
    except sandboxer.UnsupportedError as error: seen["refused"] = str(error)
    found = sandboxer.restrict("box", weaken=True)
    seen["lost"] = [line.what for line in found.lost]
    seen["home"] = attempt(os.listdir, os.environ["HOME"])
    seen["socket"] = attempt(lambda: socket.socket().close())
    """
    seen = confine(box, code)
    assert "files cannot be confined without a box" in seen["refused"]
    assert "files cannot be confined without a box" in seen["lost"]
    assert (seen["home"], seen["socket"]) == ("ok", "EAFNOSUPPORT")


@needs("landlock>=3")
@pytest.mark.parametrize(
    ("error", "number"), [("OSError(errno.ENOMEM, '')", 12), ("KeyboardInterrupt()", 4), ("MemoryError()", 4)]
)
@pytest.mark.parametrize("where", ["rehearsal", "process"])
def test_step_that_fails_is_told_with_how_far_it_came(box: Box, where: str, error: str, number: int) -> None:
    code = f"""\
    from sandboxer.kernel.in_place import confinement
    from sandboxer.model.op import LoadFilter
    own, load = os.getpid(), confinement.APPLY[LoadFilter]
    def fail(op):
        if (os.getpid() == own) == ({where!r} == "process"): raise {error}
        load(op)
    confinement.APPLY[LoadFilter] = fail
    try: sandboxer.restrict("box", weaken=True)
    except sandboxer.KernelError as error: seen["error"] = [str(error), error.errno]
    seen["home"] = attempt(os.listdir, os.environ["HOME"])
    """
    seen = confine(box, code)
    text, told = seen["error"]
    assert told == number
    assert ("this process is partly confined: " in text) == (where == "process")
    assert seen["home"] == ("EACCES" if where == "process" else "ok")


@needs("landlock>=3")
def test_time_that_was_used_already_is_told_and_not_the_end(box: Box) -> None:
    box.profile("limits: {cpu_time: 1s}")
    code = """\
    while time.process_time() < %s: pass
    try: sandboxer.restrict("box", weaken=True)
    except sandboxer.UnsupportedError as error: seen["refused"] = str(error).splitlines()[0]
    seen["home"] = attempt(os.listdir, os.environ["HOME"])
    """
    seen = confine(box, code % "1.1")
    assert "s of CPU time, and may use 1" in seen["refused"]
    assert seen["home"] == "ok"
    box.profile("limits: {cpu_time: 60s}")
    assert confine(box, code % "1.1") == {"home": "EACCES"}


@needs("landlock>=3")
def test_second_call_behind_a_filter_without_fork_is_refused_and_changes_nothing(box: Box) -> None:
    own = f"filesystem: {{execute: ['{box.installation.package.parents[3]}']}}\n"
    box.profile(own + "seccomp: {deny: [clone, fork, vfork]}")
    box.profile(own + "limits: {open_files: 50}", name="last")
    code = """\
    sandboxer.restrict("box", weaken=True)
    try: sandboxer.restrict("last", weaken=True)
    except sandboxer.UnsupportedError as error: seen["refused"] = str(error).splitlines()[0]
    seen["files"] = resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 50
    """
    assert confine(box, code) == {"refused": "the confinement cannot be tried ahead in a child: EPERM", "files": True}
