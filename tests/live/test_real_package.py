"""A real package from the index passes its own tests inside the shipped profiles: installed with a network, run without one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.live.boxes import Box
from tests.live.index import PYTHON, fetch_source, index_settings, install, run, unpack
from tests.live.users import Installation, Person

pytestmark = pytest.mark.network
SOURCE = "more-itertools==11.2.1 --hash=sha256:cbf08fd0af284dc69718b9b76a8e6203df624d70209ea511e4219d350c856f63"
TOOLS = (
    "iniconfig==2.3.1 --hash=sha256:9121e2c1fdb355232495be3194c8dfe87ccc2d5dee45947b78e68f499790d7a7",
    "packaging==26.3 --hash=sha256:d7193f7c8e4e93f444fde0262bf90af30e16fa0ad0ad44cb553c87339b23cd1c",
    "pluggy==1.7.0 --hash=sha256:7dd7b0d8832ba3cb632c306926ded123429211b83641b35dc5c41ad2d34f9bec",
    "pygments==2.21.0 --hash=sha256:2363c69b61c4a97c838da3b130dcd6468f4848992b21a82f2a63ec34377137d9",
    "pytest==9.2.0 --hash=sha256:07acdcf88ec174f907dc01af70bf52d49b014bbab03faeeade31c96b18c2e588",
)
PASSED = 765
PYTEST = (PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider")
SPY = """
import os, pathlib, socket
import pytest

def test_writes_beside_itself(): pathlib.Path("beside").write_text("x")
def test_writes_to_tmp(tmp_path): (tmp_path / "x").write_text("x")
def test_writes_above(): pathlib.Path("../above").write_text("x")
def test_writes_to_usr(): pathlib.Path("/usr/lib/x").write_text("x")
def test_connects(): socket.create_connection(("192.0.2.1", 443), timeout=5)
def test_asks_for_a_name(): socket.getaddrinfo("pypi.org", 443)
"""


@pytest.fixture(scope="module")
def archive(ordinary: Person, installation: Installation) -> Path:
    """The source package, fetched once."""
    return fetch_source(Box(ordinary, installation, ordinary.directory("source-of-a-package")), SOURCE)


@pytest.fixture(scope="module", params=["ordinary", "caller"])
def project(request: pytest.FixtureRequest, installation: Installation, archive: Path) -> Box:
    """A box of each person's in whose place the package lies unpacked, with pytest in a virtual environment."""
    person: Person = request.getfixturevalue(request.param)
    box = Box(person, installation, person.directory("package"))
    unpack(box, archive)
    install(box, TOOLS)
    return box


@pytest.fixture
def profile(project: Box) -> str:
    """One of the two profiles for each person: the suite takes its time."""
    return {"ordinary": "python", "caller": "ci-job"}[project.person.name]


def test_package_passes_its_own_tests(project: Box, profile: str) -> None:
    done = project.run(*PYTEST, "tests", profile=profile)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"^{PASSED} passed", done.stdout, re.MULTILINE), done.stdout[-500:]


def test_test_of_the_package_cannot_reach_further(project: Box, profile: str) -> None:
    project.write("test_spy.py", SPY)
    done = project.run(*PYTEST, "--tb=no", "-rA", "test_spy.py", profile=profile)
    assert outcomes(done.stdout) == {
        "test_writes_beside_itself": "PASSED",
        "test_writes_to_tmp": "PASSED",
        "test_writes_above": "FAILED",
        "test_writes_to_usr": "FAILED",
        "test_connects": "FAILED",
        "test_asks_for_a_name": "FAILED",
    }
    assert not (project.place.parent / "above").exists()


def test_index_is_reached_by_the_installer_alone(project: Box, profile: str) -> None:
    ask = (PYTHON, "-m", "pip", "download", "-q", "--no-deps", "--retries=0", "--timeout=20", "iniconfig==2.3.1")
    assert project.run(*ask, profile=profile, env=index_settings()).returncode != 0
    assert list(project.place.glob("*.whl")) == []
    run(project, *ask)
    assert len(list(project.place.glob("*.whl"))) == 1


def outcomes(text: str) -> dict[str, str]:
    """What pytest says of each test of the spy."""
    return {name: outcome for outcome, name in re.findall(r"^(PASSED|FAILED) test_spy\.py::(\w+)", text, re.MULTILINE)}
