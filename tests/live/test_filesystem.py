"""What the job sees of files, and what it may do with them: rights by path, mount flags, empty directories, /proc, links."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from tests.live.boxes import Box, in_own_mounts
from tests.live.needs import needs, this_host

RUNTIME = ("filesystem/runtime", "syscalls/application", "filesystem/proc")
OPEN = ("cpuinfo", "meminfo", "self/status", "sys/kernel/ostype")
MASKED = ("kcore", "keys", "timer_list", "kallsyms", "acpi", "sysrq-trigger")
SCRIPT = "#!/bin/sh\nexit 7\n"
IDMAPPED_TMPFS = (6, 3)
"""From this kernel on root's boxes can be given a tmpfs for writing. Source: mm/shmem.c, FS_ALLOW_IDMAP."""


def test_mounts_have_the_flags_of_their_rights(box: Box) -> None:
    for name in ("r", "x", "w", "wx"):
        box.directory(name)
    at = box.place
    box.profile(
        f"filesystem: {{read: [{at}/r], execute: [{at}/x, {at}/wx], write: [{at}/w, {at}/wx], tmpfs: [/empty]}}", policies=RUNTIME
    )
    seen = box.look(
        f"all = mounts(); seen.update((name, all[f'{at}/{{name}}'][0]) for name in ('r', 'x', 'w', 'wx'))\n"
        "seen.update(root=all['/'][0], usr=all['/usr'][0], empty=all['/empty'], proc=all['/proc'])"
    )
    assert seen == {
        "r": ["nodev", "noexec", "nosuid", "ro"],
        "x": ["nodev", "nosuid", "ro"],
        "w": ["nodev", "noexec", "nosuid", "rw"],
        "wx": ["nodev", "nosuid", "rw"],
        "root": ["nodev", "noexec", "nosuid", "ro"],
        "usr": ["nodev", "nosuid", "ro"],
        "empty": [["nodev", "noexec", "nosuid", "rw"], "tmpfs"],
        "proc": [["nodev", "noexec", "nosuid", "rw"], "proc"],
    }  # fmt: skip


def test_rights_hold_by_path(box: Box) -> None:
    for name in ("r", "x", "w"):
        box.directory(name)
        box.write(f"{name}/script", SCRIPT, mode=0o755)
    at = box.place
    box.profile(f"filesystem: {{read: [{at}/r], execute: [{at}/x], write: [{at}/w]}}", policies=RUNTIME)
    seen = box.look(f"""
for name in "rxw":
    path = f"{at}/{{name}}/script"
    seen[name] = [attempt(read, path), attempt(write, f"{at}/{{name}}/new"), attempt(execute, path)]
""")
    assert seen == {"r": ["ok", "EROFS", "EACCES"], "x": ["ok", "EROFS", "ok"], "w": ["ok", "ok", "EACCES"]}
    assert sorted(path.name for path in at.glob("*/new")) == ["new"]
    made = (at / "w/new").stat()
    assert (made.st_uid, made.st_gid, stat.S_IMODE(made.st_mode)) == (box.person.uid, box.person.gid, 0o644)


def test_what_is_not_granted_is_not_there(box: Box) -> None:
    box.write("granted", "yes")
    other = box.person.directory(f"other-{os.urandom(4).hex()}")
    (other / "secret").write_text("no")
    box.profile(f"filesystem: {{read: [{box.place}/granted]}}", policies=RUNTIME)
    seen = box.look(f"""
for path in ("{box.place}/granted", "{other}/secret", "/etc/shadow", "/root", "/etc/hostname", "/var/log", "/sys", "/dev/null"):
    seen[path] = attempt(os.stat, path)
seen["above"] = os.listdir("{box.place}")
""")
    assert seen.pop(f"{box.place}/granted") == "ok"
    assert seen.pop("above") == ["granted"]
    assert set(seen.values()) == {"ENOENT"}


def test_hidden_paths_stay_hidden_and_their_neighbours_stay_seen(box: Box) -> None:
    for name in ("open/file", "secret/key", "secret/deep/key"):
        box.write(name, "text")
    box.write("password", "text")
    at = box.place
    box.profile(f"filesystem: {{hide: [{at}/secret, {at}/password]}}")
    seen = box.look("""
for name in ("open/file", "secret", "secret/key", "secret/deep/key", "password"):
    seen[name] = attempt(os.listdir if name == "secret" else read, name)
seen["unhide"] = [attempt(os.rename, "secret", "moved"), attempt(os.unlink, "password"), attempt(os.rename, "open", "moved")]
""")
    assert seen["open/file"] == "ok"
    assert {seen[name] for name in ("secret", "secret/key", "secret/deep/key", "password")} == {"EACCES"}
    assert seen["unhide"] == ["EBUSY", "EBUSY", "ok"]


def test_read_only_parts_of_what_is_writable_stay_as_they_are(box: Box) -> None:
    for name in ("config/file", "free/file"):
        box.write(name, "old")
    box.profile(f"filesystem: {{read_only: [{box.place}/config]}}")
    seen = box.look("""
for name in ("config", "free"):
    seen[name] = [attempt(write, f"{name}/file", "new"), attempt(write, f"{name}/more"), read(f"{name}/file")]
seen["moved"] = attempt(os.rename, "config", "away")
""")
    assert seen == {"config": ["EROFS", "EROFS", "old"], "free": ["ok", "ok", "new"], "moved": "EBUSY"}


@needs("root")
@pytest.mark.parametrize(("right", "expected"), [("read", "EROFS"), ("write", "ok")])
def test_rights_reach_into_mounts_below(box: Box, right: str, expected: str) -> None:
    """Where a mount below cannot be written with the ids of the box, it is refused and not left out."""
    box.directory("outer")
    box.write("outer/below/file")
    outer = box.place / "outer"
    mount = 'mount -t tmpfs -o mode=755 none "$1/below"; chown "$2:$2" "$1/below"'
    box = replace(box, ahead=in_own_mounts(mount, outer, str(box.person.uid)))
    box.profile(f"filesystem: {{{right}: [{outer}]}}", policies=RUNTIME)
    if right == "write" and box.person.uid == 0 and this_host().kernel < IDMAPPED_TMPFS:
        assert "the file system takes no id mapping" in box.refusal()
        return
    seen = box.look(f"""
seen.update(top=attempt(write, "{outer}/new"), below=attempt(write, "{outer}/below/new"), names=os.listdir("{outer}/below"))
seen["flags"] = mounts()["{outer}/below"]
""")
    assert [seen["top"], seen["below"]] == [expected, expected]
    assert seen["names"] == (["new"] if expected == "ok" else [])
    assert seen["flags"] == [["nodev", "noexec", "nosuid", "ro" if right == "read" else "rw"], "tmpfs"]


def test_paths_are_shown_at_other_paths(box: Box) -> None:
    box.write("source/file", "text")
    at = box.place
    box.profile(
        f"filesystem: {{mounts: [{{from: {at}/source, to: /data/in}}, {{from: {at}/source, to: /data/out, access: [write]}}]}}",
        policies=RUNTIME,
    )
    seen = box.look("""
seen.update(file=read("/data/in/file"), into=attempt(write, "/data/in/new"), out=attempt(write, "/data/out/new", "made"))
seen.update(again=read("/data/in/new"), names=sorted(os.listdir("/data")))
""")
    assert seen == {"file": "text", "into": "EROFS", "out": "ok", "again": "made", "names": ["in", "out"]}
    assert (at / "source/new").stat().st_uid == box.person.uid


def test_files_and_links_of_the_profile_are_there(box: Box) -> None:
    box.profile("""\
filesystem:
  files: [{path: /etc/motd, text: "hello\\n"}, {path: /opt/tool, text: "x", mode: "600"}]
  symlinks: [{path: /opt/link, target: ../etc/motd}]
""")
    seen = box.look("""
seen.update(motd=read("/etc/motd"), link=[os.readlink("/opt/link"), read("/opt/link")])
seen.update(mode=oct(os.stat("/etc/motd").st_mode), write=attempt(write, "/etc/motd"), root=attempt(os.mkdir, "/new"))
""")
    assert seen == {
        "motd": "hello\n", "link": ["../etc/motd", "hello\n"], "mode": "0o100644", "write": "EROFS", "root": "EROFS",
    }  # fmt: skip


def test_optional_path_may_be_missing_and_another_may_not(box: Box) -> None:
    box.profile(f"filesystem: {{read: ['{box.place}/nowhere?']}}")
    _, report = box.told("true")
    assert any(f"{box.place}/nowhere" in line["what"] for line in report["enforcement"] if line["status"] == "unused")
    box.profile(f"filesystem:\n  read:\n    - {box.place}/nowhere\n")
    message = box.refusal()
    assert f"{box.place}/nowhere does not exist" in message
    assert ".sandboxer/profiles/box.yaml:7:7" in message


def test_links_on_the_way_stay_links_and_lead_no_further(box: Box) -> None:
    box.write("real/file", "text")
    (box.place / "link").symlink_to("real")
    (box.place / "real/out").symlink_to("/etc/shadow")
    (box.place / "real/up").symlink_to("../../../../../../../../etc/passwd")
    at = box.place
    box.profile(f"filesystem: {{read: [{at}/link]}}", policies=RUNTIME)
    seen = box.look(f"""
seen.update(link=os.readlink("{at}/link"), text=read("{at}/link/file"), bin=os.readlink("/bin"))
seen.update(out=attempt(read, "{at}/link/out"), up=read("{at}/link/up").split(":")[0], names=sorted(os.listdir("{at}")))
""")
    expected = {"link": "real", "text": "text", "bin": "usr/bin", "out": "ENOENT", "names": ["link", "real"]}
    assert {name: seen[name] for name in expected} == expected
    assert seen["up"] == "root"  # of the box's own passwd, which has no other users
    assert box.output("sh", "-c", "cut -d: -f1 /etc/passwd | tr '\\n' ' '") == "root sandbox nobody "


def test_directory_in_memory_is_empty_private_and_no_larger_than_said(box: Box) -> None:
    box.profile("filesystem: {tmpfs: [{path: /small, size: 1M}, {path: /shared, mode: '1777'}, {path: /bin2, execute: true}]}")
    seen = box.look(f"""
seen["empty"] = os.listdir("/tmp")
seen.update(small=attempt(write, "/small/a", "x" * 900_000), full=attempt(write, "/small/b", "x" * 900_000))
seen.update(modes=[oct(os.stat(path).st_mode & 0o7777) for path in ("/small", "/shared", "/tmp")])
for name in ("/bin2", "/shared"):
    write(f"{{name}}/script", {SCRIPT!r})
    os.chmod(f"{{name}}/script", 0o755)
seen["run"] = [attempt(execute, "/bin2/script"), attempt(execute, "/shared/script")]
""")
    assert seen == {
        "empty": [], "small": "ok", "full": "ENOSPC", "modes": ["0o755", "0o1777", "0o1777"], "run": ["ok", "EACCES"],
    }  # fmt: skip
    assert not Path("/small").exists()


def test_root_of_the_box_holds_no_more_than_said(box: Box) -> None:
    box.profile(f"filesystem: {{root_size: 64K, files: [{{path: /big, text: '{'x' * 40_000}'}}]}}")
    assert "the box's root is too small" in box.refusal()
    box.profile(f"filesystem: {{root_size: 1M, files: [{{path: /big, text: '{'x' * 40_000}'}}]}}")
    assert box.output("wc", "-c", "/big").split()[0] == "40000"


def test_fresh_proc_shows_the_box_and_hides_the_machine(box: Box) -> None:
    seen = box.look(f"""
seen["pids"] = [int(name) for name in os.listdir("/proc") if name.isdigit()]
for name in (*{OPEN}, *{MASKED}):
    path = f"/proc/{{name}}"
    seen[name] = "missing" if not os.path.exists(path) else attempt(os.listdir if os.path.isdir(path) else read, path)
seen["set"] = [attempt(write, f"/proc/{{name}}") for name in ("sys/kernel/hostname", "sys/vm/swappiness", "self/comm")]
""")
    assert seen["pids"] == [1, 2]
    assert {seen[name] for name in OPEN} == {"ok"}
    assert {seen[name] for name in MASKED} <= {"EACCES", "missing"}
    assert seen["set"] == ["EROFS", "EROFS", "ok"]


def test_further_parts_of_proc_are_covered_or_read_only(box: Box) -> None:
    look = """
seen.update((name, attempt(read, f"/proc/{name}")) for name in ("cpuinfo", "meminfo"))
seen["flags"] = mounts().get("/proc/tty", [[]])[0]
"""
    assert box.look(look) == {"cpuinfo": "ok", "meminfo": "ok", "flags": []}
    box.profile("filesystem: {proc_mask: [/proc/cpuinfo], proc_read_only: [/proc/tty]}")
    assert box.look(look) == {"cpuinfo": "EACCES", "meminfo": "ok", "flags": ["nodev", "noexec", "nosuid", "ro"]}


@pytest.mark.parametrize(
    ("kind", "names"), [("none", ["ENOENT", "ENOENT"]), ("processes", ["ok", "ENOENT"]), ("fresh", ["ok", "ok"])]
)
def test_proc_shows_as_much_as_is_said(box: Box, kind: str, names: list[str]) -> None:
    box.profile(f"filesystem: {{proc: {kind}}}", policies=RUNTIME[:2])
    assert box.look("seen['found'] = [attempt(os.stat, '/proc/self'), attempt(os.stat, '/proc/cpuinfo')]") == {"found": names}


def test_command_starts_where_the_profile_or_the_option_says(box: Box) -> None:
    assert box.output("pwd") == f"{box.place}\n"
    assert box.output("pwd", options=["--workdir", "/usr"]) == "/usr\n"
    box.profile("filesystem: {working_directory: /tmp}")
    assert box.output("pwd") == "/tmp\n"
    box.profile("filesystem: {working_directory: /nowhere}")
    assert "the working directory /nowhere is not in the box" in box.refusal()
    box.profile()
    assert box.run("pwd", options=["--workdir", "/nowhere"]).returncode == 125


def test_files_of_the_owner_can_be_read_as_the_owner_where_that_is_said(box: Box) -> None:
    box.write("private/file", "text", mode=0o600)
    private = box.place / "private"
    box.profile(f"filesystem: {{read: [{{path: {private}, as_owner: true}}]}}", policies=RUNTIME)
    seen = box.look(f"seen.update(read=attempt(read, '{private}/file'), uid=os.stat('{private}/file').st_uid)")
    assert seen == {"read": "ok", "uid": 1000}
    box.profile(f"filesystem: {{read: [{private}]}}", policies=RUNTIME)
    seen = box.look(f"seen.update(read=attempt(read, '{private}/file'))")
    assert seen["read"] == ("EACCES" if box.person.uid == 0 else "ok")


@pytest.mark.parametrize("name", ["[id] a*b,c:d", "q?", 'new\nline "x" back\\slash', "ü ${cwd} %s $x"])
def test_letters_in_the_name_of_a_directory_mean_nothing(box: Box, name: str) -> None:
    box.directory(name)
    box.directory("q") if name == "q?" else None
    inner = replace(box, place=box.place / name)
    inner.write("secret", "text")
    box.profile(name="inner", text="filesystem: {hide: ['${cwd}/secret'], overlay: ['${cwd}/tree']}")
    inner.directory("tree")
    seen = inner.look(
        """
seen.update(cwd=os.getcwd(), made=attempt(write, "made"), secret=attempt(read, "secret"), tree=attempt(write, "tree/made"))
""",
        profile="inner",
    )
    assert seen == {"cwd": str(inner.place), "made": "ok", "secret": "EACCES", "tree": "ok"}
    assert sorted(path.name for path in inner.place.iterdir()) == ["made", "secret", "tree"]
    assert list((inner.place / "tree").iterdir()) == []


def test_name_that_looks_like_a_pattern_can_be_given_as_an_option_and_as_a_parameter(box: Box) -> None:
    shown = box.person.directory(f"shown-{os.urandom(4).hex()}[a]?")
    box.profile("""\
params: {where: {type: path, default: /nowhere}}
filesystem: {read: ["${where}?"]}
options: {write: [/]}
""")
    code = f"seen.update(there=os.path.exists({str(shown)!r}), made=attempt(write, {str(shown / 'made')!r}))"
    assert box.look(code) == {"there": False, "made": "ENOENT"}
    assert box.look(code, options=["--set", f"where={shown}"]) == {"there": True, "made": "EROFS" if box.person.uid else "EACCES"}
    assert box.look(code, options=["--write", str(shown)]) == {"there": True, "made": "ok"}


def test_profile_with_a_pattern_for_a_path_is_refused(box: Box) -> None:
    box.profile("filesystem: {read: ['/etc/*.conf']}")
    assert "/etc/*.conf" in box.refusal()
    box.profile("filesystem: {read: ['${cwd}/*.conf']}")
    assert "looks like a pattern" in box.refusal()


def test_box_leaves_only_what_was_written_where_writing_is_granted(box: Box) -> None:
    with box.leaves_nothing():
        box.look("write('/tmp/a'); write('/var/tmp/b'); write('/home/sandbox/c'); write('/dev/shm/d')")
    assert not any(Path(path).exists() for path in ("/tmp/a", "/var/tmp/b", "/home/sandbox/c", "/dev/shm/d"))
