"""The probe program, built once, and the things outside the box that attempts try to reach."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attack.attempts import build_probe
from tests.attack.screens import screen
from tests.attack.seats import Seat
from tests.live.conftest import caller, installation, leaves_nothing, open_directory, ordinary, person, workplace
from tests.live.users import Installation, Person

__all__ = ["caller", "installation", "leaves_nothing", "open_directory", "ordinary", "person", "screen", "workplace"]

pytest.register_assert_rewrite("tests.attack.bench")  # its tests are run from other modules


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The probe, built once."""
    return build_probe(tmp_path_factory.mktemp("probe") / "probe")


def _accept(listener: socket.socket) -> None:
    while True:
        try:
            listener.accept()[0].close()
        except OSError:
            return


@pytest.fixture(scope="session")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What a breach would reach, by the names that the table of attempts uses. All of it is readable by everybody."""
    directory = Path("/var/tmp") / f"outside-{secrets.token_hex(6)}"
    directory.mkdir(mode=0o777)
    directory.chmod(0o777)
    readable = directory / "canary"
    readable.write_text("canary\n")
    sleeper = subprocess.Popen([shutil.which("sleep") or "/bin/sleep", "3600"])
    tcp = socket.create_server(("127.0.0.1", 0))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(tcp.getsockname())
    abstract = socket.socket(socket.AF_UNIX)
    abstract_name = f"outside-{secrets.token_hex(6)}"
    abstract.bind(f"\0{abstract_name}")
    path = socket.socket(socket.AF_UNIX)
    path.bind(str(directory / "socket"))
    os.chmod(directory / "socket", 0o777)
    for listener in (tcp, abstract, path):
        listener.listen()
        threading.Thread(target=_accept, args=(listener,), daemon=True).start()
    shm = Path("/dev/shm") / f"outside-{secrets.token_hex(6)}"
    shm.write_text("canary\n")
    key = secrets.randbelow(1 << 30) + 1
    segment = subprocess.run(
        [sys.executable, "-c", f"import ctypes; print(ctypes.CDLL(None).shmget({key}, 4096, 0o1666))"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    try:
        yield {
            "file": str(readable), "new-file": str(directory / "planted"), "process": str(sleeper.pid),
            "port": str(tcp.getsockname()[1]), "abstract": abstract_name, "socket": str(directory / "socket"),
            "segment": str(key), "shm": shm.name, "secret": f"secret-{secrets.token_hex(6)}",
        }  # fmt: skip
    finally:
        for listener in (tcp, udp, abstract, path):
            listener.close()
        sleeper.kill()
        sleeper.wait()
        shm.unlink()
        subprocess.run(["ipcrm", "-m", segment], check=False)
        shutil.rmtree(directory)


@pytest.fixture
def seat(person: Person, installation: Installation, workplace: Path) -> Seat:
    """Each person, in an empty directory of theirs."""
    return Seat(person, installation, workplace)


@pytest.fixture(scope="session")
def actor_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that misbehaves in ways that a test names."""
    program = tmp_path_factory.mktemp("actor") / "actor"
    source = Path(__file__).parent / "actor" / "actor.c"
    subprocess.run(["gcc", "-static", "-O1", "-Wall", "-Wextra", "-Werror", "-o", program, source, "-lpthread"], check=True)
    return program


@pytest.fixture
def actor(seat: Seat, actor_program: Path) -> Path:
    """That program, in the directory of the seat, which the box may execute."""
    return seat.file("actor", actor_program.read_bytes(), 0o755)
