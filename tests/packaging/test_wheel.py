"""What a build puts into a wheel and a source distribution, and what an editable install leaves where."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = "sandboxer/launcher/bin/sandboxer-launch"
PROBE = "sandboxer/launcher/bin/sandboxer-probe"
IMAGE = "sandboxer/launcher/bin/sandboxer-image.so"
MODULE = "sandboxer/controls/lsm/selinux/sandboxer.cil"
TREE = ("sandboxer", "profiles", "policies", "scripts", "hatch_build.py", "pyproject.toml", ".gitignore", "README.md", "LICENSE")
PAGES = ("ARCHITECTURE.md", "SECURITY.md", "CHANGELOG.md")


def copy_tree(target: Path) -> Path:
    """A copy of what is needed to build, so that a build cannot touch the checkout."""
    target.mkdir(parents=True)
    names = [name for name in (*TREE, *PAGES) if (ROOT / name).exists()]
    subprocess.run(["cp", "-a", *names, str(target)], cwd=ROOT, check=True)
    subprocess.run(["rm", "-rf", str(target / "sandboxer/launcher/bin")], check=True)
    return target


def build(tree: Path, kind: str, out: Path) -> Path:
    """Build with the backend that is installed: no isolation, no network."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(out)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (artifact,) = out.iterdir()
    return artifact


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("wheel")
    return build(copy_tree(base / "tree"), "wheel", base / "out")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("sdist")
    return build(copy_tree(base / "tree"), "sdist", base / "out")


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def test_wheel_tag_names_the_processor_and_any_python3(wheel: Path) -> None:
    assert wheel.name.endswith(f"-py3-none-linux_{os.uname().machine}.whl")


def test_wheel_has_all_that_is_built(wheel: Path) -> None:
    assert {LAUNCHER, PROBE, IMAGE} <= names_in(wheel)


def test_wheel_holds_the_module_that_root_loads_beside_others(wheel: Path) -> None:
    assert MODULE in names_in(wheel)


def test_wheel_launcher_is_an_executable_program(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = archive.getinfo(LAUNCHER)
        assert archive.read(LAUNCHER)[:4] == b"\x7fELF"
    assert info.external_attr >> 16 & 0o111 == 0o111


def test_wheel_holds_every_profile_and_policy(wheel: Path) -> None:
    files = [path.relative_to(ROOT) for kind in ("profiles", "policies") for path in (ROOT / kind).rglob("*.yaml")]
    assert files
    assert {f"sandboxer/_data/{path}" for path in files} <= names_in(wheel)


def test_wheel_holds_every_module_and_the_type_marker(wheel: Path) -> None:
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "sandboxer").rglob("*.py")}
    assert modules | {"sandboxer/py.typed"} <= names_in(wheel)


def test_wheel_holds_nothing_else(wheel: Path) -> None:
    def belongs(name: str) -> bool:
        if name.startswith("sandboxer/_data/"):
            return name.endswith(".yaml")
        if name.startswith("sandboxer/"):
            return name.endswith((".py", "py.typed")) or name in (LAUNCHER, PROBE, IMAGE, MODULE)
        return ".dist-info/" in name or name.endswith(".data/scripts/sandboxer")

    assert [name for name in names_in(wheel) if not belongs(name)] == []


def test_wheel_has_the_probe_of_proofs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(PROBE).startswith(b"\x7fELF")


def test_wheel_script_imports_only_the_entry(wheel: Path) -> None:
    """pip rewrites exactly this first line; its own kind of script imports `re`, which costs as much as a launch."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("scripts/sandboxer")]
        script = archive.read(name).decode()
        assert archive.getinfo(name).external_attr >> 16 & 0o111 == 0o111
    assert script.splitlines()[0] == "#!python"
    assert [line for line in script.splitlines() if "import" in line] == ["from sandboxer.cli.main import main"]


def test_sdist_has_what_a_wheel_is_built_from(sdist: Path, tmp_path: Path) -> None:
    subprocess.run(["tar", "-xzf", str(sdist), "-C", str(tmp_path)], check=True)
    (tree,) = tmp_path.iterdir()
    built = build(tree, "wheel", tmp_path / "out")
    assert {LAUNCHER, PROBE, IMAGE} <= names_in(built)


def test_sdist_holds_no_built_launcher(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
    assert not [name for name in names if "/launcher/bin" in name or name.endswith((".o", ".pyc"))]
    assert [name for name in names if name.endswith("sandboxer/launcher/c/Makefile")]


@pytest.fixture(scope="module")
def editable(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tree, and a venv in which it is installed editable."""
    base = tmp_path_factory.mktemp("editable")
    tree, venv = copy_tree(base / "tree"), base / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", str(venv)], check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(venv)]
    flags = ["install", "-q", "--no-build-isolation", "--no-deps", "--no-index", "-e", str(tree)]
    environment = {**os.environ, "PYTHONPATH": str(Path(pytest.__file__).parents[1])}
    done = subprocess.run([*pip, *flags], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return tree, venv


def test_editable_install_builds_the_launcher_into_the_tree(editable: tuple[Path, Path]) -> None:
    tree, _ = editable
    assert os.access(tree / LAUNCHER, os.X_OK)


def test_editable_install_is_one_plain_path(editable: tuple[Path, Path]) -> None:
    """A .pth line that begins with `import` would run at every start of the interpreter."""
    tree, venv = editable
    (site,) = venv.glob("lib/python3*/site-packages")
    lines = [line for file in site.glob("*.pth") for line in file.read_text().splitlines()]
    assert lines == [str(tree)]
    assert not (site / "sandboxer").exists()


def test_editable_script_runs_the_tree(editable: tuple[Path, Path]) -> None:
    _, venv = editable
    script = venv / "bin" / "sandboxer"
    assert script.read_text().startswith(f"#!{venv}/bin/python")
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    done = subprocess.run([str(script), "--version"], capture_output=True, text=True, env=environment, cwd="/")
    assert (done.returncode, done.stdout.split()[:1]) == (0, ["sandboxer"]), done.stderr
