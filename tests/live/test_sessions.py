"""`Box`, as root and as an ordinary user: files from one command to the next, overlays, and what a job may leave there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.live.needs import needs
from tests.live.users import Installation, Person

HEAD = """
import os, sys, sandboxer
from sandboxer import Box
def sh(box, text, **more): return box.exec(["sh", "-c", text], **more)
"""


@pytest.fixture(autouse=True)
def clean(leaves_nothing: None, person: Person) -> None:
    """Nothing is left of any of them."""


def output(person: Person, installation: Installation, workplace: Path, code: str) -> list[str]:
    done = person.run([installation.python, "-c", HEAD + code], cwd=workplace)
    assert done.returncode == 0, done.stderr
    states = person.home / ".cache/sandboxer/boxes"
    assert not states.exists() or os.listdir(states) == ["lock"]
    return done.stdout.splitlines()


@needs("userns")
@pytest.mark.parametrize("profile", ["python", "strict"])
def test_files_stay_from_one_command_to_the_next(
    person: Person, installation: Installation, workplace: Path, profile: str
) -> None:
    code = f"""
with Box({profile!r}) as box:
    box.write("in/a", "given")
    sh(box, "pwd; cat in/a; mkdir d; echo made > d/b").check()
    result = sh(box, "cat d/b; ls")
    print(result.stdout, box.read("d/b"))
    print([str(change) for change in box.changes()])
    with box.fork() as other:
        sh(other, "rm -r d")
    print(sh(box, "ls").stdout)
    box.discard()
    print(sh(box, "ls").stdout)
"""
    assert output(person, installation, workplace, code) == [
        "b'made\\nd\\nin\\n' b'made\\n'",
        "['added directory d', 'added file d/b', 'added directory in', 'added file in/a']",
        "b'd\\nin\\n'",
        "b''",
    ]


@needs("userns", "overlay")
def test_directory_of_the_host_is_changed_by_a_commit_alone(person: Person, installation: Installation, workplace: Path) -> None:
    code = """
os.makedirs("w/sub")
for name in ("old", "gone", "sub/file"): open("w/" + name, "w").write("text")
with Box("python", workdir="w") as box:
    sh(box, "echo changed > old; rm gone; mkdir more; echo x > more/x; chmod 700 more").check()
    sh(box, "rm -r sub; mkdir sub; echo y > sub/g").check()
    print(sorted(os.listdir("w")), open("w/old").read())
    print([str(change) for change in box.changes()])
    print(box.read("old"), box.read("sub/g"))
    box.write("sub/file", "again")
    box.write("deep/er", "new")
    print(sh(box, "ls sub deep; cat sub/file").stdout)
    done = box.commit(["more/**", "old"])
    print([str(change) for change in done.applied], sorted(os.listdir("w")))
    with box.fork() as other:
        print([str(change) for change in other.changes()])
        other.discard()
        print(sh(other, "ls; cat old").stdout)
    print(box.commit().is_whole, box.changes())
    print(sorted(os.listdir("w")), open("w/sub/file").read(), os.stat("w/old").st_uid == os.getuid())
    box.discard()
import shutil; shutil.rmtree("w")
"""
    lines = output(person, installation, workplace, code)
    assert lines == [
        "['gone', 'old', 'sub'] text",
        "['removed file gone', 'added directory more', 'added file more/x', 'modified file old', 'removed file sub/file', "
        "'added file sub/g']",
        "b'changed\\n' b'y\\n'",
        "b'deep:\\ner\\n\\nsub:\\nfile\\ng\\nagain'",
        "['added file more/x', 'modified file old'] ['gone', 'more', 'old', 'sub']",
        "['added directory deep', 'added file deep/er', 'removed file gone', 'modified directory more', "
        "'modified file sub/file', 'added file sub/g']",
        "b'gone\\nmore\\nold\\nsub\\nchanged\\n'",
        "True ()",
        "['deep', 'more', 'old', 'sub'] again True",
    ]


@needs("userns", "overlay")
def test_hostile_job_gets_nothing_into_the_directory(person: Person, installation: Installation, workplace: Path) -> None:
    code = """
os.makedirs("w")
open("secret", "w").write("secret")
script = '''
import os, socket
os.symlink("/etc/passwd", "abs"); os.symlink("../secret", "up"); os.symlink("fine", "in")
os.mkfifo("fifo"); open("a\\\\nb", "w").close(); open("fine", "w").write("x")
s = socket.socket(socket.AF_UNIX); s.bind("socket")
os.mkdir("d"); open("d/x", "w").close(); os.chmod("d/x", 0); os.chmod("d", 0)
for name in ("user.overlay.opaque", "user.overlay.redirect", "trusted.overlay.redirect", "user.overlay.metacopy"):
    try: os.setxattr("fine", name, b"y")
    except OSError: pass
try: os.mknod("null", 0o020666, os.makedev(1, 3))
except OSError: pass
try: os.mknod("white", 0o020000, 0)
except OSError: pass
try: os.chmod("fine", 0o4755)
except OSError: pass
'''
with Box("python", workdir="w") as box:
    box.exec(["python3", "-c", script]).check()
    for name in ("up", "abs"):
        try: print(box.read(name))
        except ValueError as error: print(error)
    done = box.commit()
    print(sorted(item.name for item in done.refused))
    print(sorted(os.listdir("w")), oct(os.stat("w/fine").st_mode & 0o6000))
    print([item.why for item in box.commit(links=True).refused if item.name in ("in", "abs", "up")])
import shutil; os.chmod("w/d", 0o700); shutil.rmtree("w"); os.unlink("secret")
"""
    lines = output(person, installation, workplace, code)
    assert lines == [
        "a symbolic link",
        "a symbolic link",
        "['a\\\\nb', 'abs', 'fifo', 'in', 'socket', 'up']",
        "['d', 'fine'] 0o0",
        "['it is a symbolic link that leads out of the directory', 'it is a symbolic link that leads out of the directory']",
    ]


@needs("userns")
def test_processes_end_with_their_command_and_all_with_the_box(
    person: Person, installation: Installation, workplace: Path
) -> None:
    code = """
with Box("strict") as box:
    sh(box, "sleep 60 > /dev/null 2>&1 & echo")
    process = box.popen(["cat"])
    process.stdin.write(b"hello")
    print(next(process).data)
    left = box.popen(["sleep", "60"])
try: box.exec(["true"])
except RuntimeError as error: print(error)
with Box("strict") as box:
    with box.popen(["sort"]) as process:
        process.stdin.write(b"b\\na\\n")
        process.stdin.close()
        print(b"".join(event.data for event in process if isinstance(event, sandboxer.Stdout)), process.result.exit_code)
"""
    assert output(person, installation, workplace, code) == [
        "b'hello'",
        "the box is not open: use it in a `with`",
        "b'a\\nb\\n' 0",
    ]


@needs("userns")
def test_network_can_only_become_less(person: Person, installation: Installation, workplace: Path) -> None:
    code = """
script = '''import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()
socket.create_connection(s.getsockname()); print('up')'''
try_ = ["python3", "-c", script]
with Box("python", network="loopback") as box:
    print(box.exec(try_).stdout)
    box.set_network("none")
    print(box.exec(try_).stdout)
    try: box.set_network("loopback")
    except ValueError as error: print(error)
    with box.fork() as other: print(other.exec(try_).stdout)
"""
    lines = output(person, installation, workplace, code)
    assert lines == ["b'up\\n'", "b''", "the network of this box was none, and can only become less", "b''"]


@needs("userns")
def test_interpreter_keeps_its_state_and_its_errors_are_ours(person: Person, installation: Installation, workplace: Path) -> None:
    code = """
with Box("python", timeout="3s") as box:
    with box.python() as python:
        python.exec("x = 5\\nprint('seen')\\nclass A: pass\\nopen('f', 'w').write('file')")
        print(python.result.stdout, python.eval("{'x': x, 'here': __import__('os').getcwd()}"))
        for source in ("1/0", "A()", "__import__('os')"):
            try: python.eval(source)
            except ZeroDivisionError as error: print(type(error).__mro__[1].__name__)
            except sandboxer.RemoteError as error: print("no value")
        print(python.eval("x + 1"), box.exec(["cat", "f"]).stdout)
        try: python.exec("while True: pass")
        except TimeoutError as error: print(type(error).__name__)
    python = box.python()
    try: python.exec("__import__('os')._exit(3)")
    except sandboxer.ProcessDied as error: print(error.result.exit_code)
    python = box.python()
"""
    assert output(person, installation, workplace, code) == [
        "b'seen\\n' {'x': 5, 'here': '/box'}",
        "RemoteError",
        "no value",
        "no value",
        "6 b'file'",
        "SandboxTimeout",
        "3",
    ]


@needs("userns", "overlay")
def test_session_of_a_python_that_was_killed_is_swept(person: Person, installation: Installation, workplace: Path) -> None:
    code = """
os.mkdir("w")
box = Box("python", workdir="w").open()
sh(box, "echo x > y; mkdir d; chmod 0 d")
os.kill(os.getpid(), 9)
"""
    assert person.run([installation.python, "-c", HEAD + code], cwd=workplace).returncode == -9
    assert len(os.listdir(person.home / ".cache/sandboxer/boxes")) == 2
    assert os.listdir(workplace / "w") == []
    output(person, installation, workplace, 'os.rmdir("w")\nwith Box("strict") as box: pass')


@needs("userns", "overlay")
def test_profile_must_let_the_directory_be_read(person: Person, installation: Installation, workplace: Path) -> None:
    code = """
try:
    with Box("strict", workdir="/usr/share") as box: box.exec(["true"])
except sandboxer.PolicyError as error: print("refused" if "does not allow --read /usr/share" in str(error) else error)
os.mkdir("w")
with Box("strict", workdir="w") as box: print(box.exec(["pwd"]).stdout == os.fsencode(os.path.realpath("w")) + b"\\n")
os.rmdir("w")
"""
    assert output(person, installation, workplace, code) == ["refused", "True"]
