"""A real C program is configured, compiled and tested inside `build`, and what comes out gives the right answers."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.live.boxes import Box
from tests.live.index import fetch_source, unpack
from tests.live.users import Installation, Person

pytestmark = pytest.mark.network
SOURCE = "zlib-ng==1.1.0 --hash=sha256:08a3a8468d4f130e3dc80d28ec42fcc7a878a57dfed616233e791066327d78a3"
C_LIBRARY = "src/zlib_ng/zlib-ng"
TEXT = "".join(f"{number} bottles\n" for number in range(20_000))


@pytest.fixture(scope="module")
def archive(ordinary: Person, installation: Installation) -> Path:
    """The source package, fetched once; it carries the C library as its authors publish it."""
    return fetch_source(Box(ordinary, installation, ordinary.directory("source-of-a-program")), SOURCE)


@pytest.fixture(scope="module", params=["ordinary", "caller"])
def built(request: pytest.FixtureRequest, installation: Installation, archive: Path) -> Box:
    """A box of each person's in whose place the program was built."""
    person: Person = request.getfixturevalue(request.param)
    box = Box(person, installation, person.directory("program"))
    unpack(box, archive, below=C_LIBRARY)
    box.output("sh", "./configure", f"--prefix={box.place}/installed", profile="build")
    box.output("make", "-j2", "all", profile="build")
    return box


def test_built_program_compresses_what_others_can_read(built: Box) -> None:
    built.write("text", TEXT)
    built.output("sh", "-c", "./minigzip < text > text.gz", profile="build")
    with gzip.open(built.place / "text.gz", "rt") as packed:
        assert packed.read() == TEXT


def test_built_program_runs_under_other_profiles_too(built: Box) -> None:
    built.write("other.gz").write_bytes(gzip.compress(TEXT.encode()))
    assert built.output("sh", "-c", "./minigzip -d < other.gz", profile="default") == TEXT


def test_own_tests_of_the_library_pass(built: Box) -> None:
    assert "inflate(): hello, hello!" in built.output("./example", profile="build")


def test_build_installs_into_the_project_and_nowhere_else(built: Box) -> None:
    built.output("make", "install", profile="build")
    assert (built.place / "installed/lib/libz-ng.a").exists()
    for elsewhere in ("/usr/local", built.place.parent / "elsewhere"):
        done = built.run("make", "install", f"prefix={elsewhere}", profile="build")
        assert done.returncode != 0
    assert not (built.place.parent / "elsewhere").exists()


def test_what_was_built_can_be_installed_where_the_caller_says(built: Box) -> None:
    target = built.person.directory("target")
    built.output("make", "install", f"prefix={target}", options=["--write", str(target)], profile="build")
    assert (target / "lib/libz-ng.a").exists()


def test_build_has_no_network_and_talks_to_itself_where_that_is_granted(built: Box) -> None:
    built.write("net.mk", "net:\n\tpython3 -c 'import socket; s = socket.create_server((\"127.0.0.1\", 0)); "
                "socket.create_connection(s.getsockname(), 5)'\n")  # fmt: skip
    assert built.run("make", "-f", "net.mk", profile="build").returncode != 0
    built.output("make", "-f", "net.mk", options=["--network", "loopback"], profile="build")
