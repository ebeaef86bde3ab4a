"""The shape of the tree, enforced: imports go down only, rooms know nothing of one another, and everything stays small."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "sandboxer"

LAYERS: dict[str, int] = {
    "": 0,
    "errors": 0,
    "units": 0,
    "abi": 0,
    "model": 1,
    "kernel": 2,
    "store": 3,
    "net": 3,
    "controls": 4,
    "compile": 5,
    "launcher": 6,
    "run": 7,
    "images": 8,
    "containers": 8,
    "calls": 8,
    "learn": 8,
    "prove": 8,
    "sessions": 8,
    "verify": 8,
    "oci": 9,
    "compose": 9,
    "export": 9,
    "api": 9,
    "aio": 9,
    "cli": 10,
    "__main__": 11,
}
SHARED_BY_ROOMS = {"room", "nesting", "parse", "paths", "said", "starting"}
BANNED_WORDS = {"utils", "util", "helpers", "helper", "common", "manager", "handler", "base"}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_FOLDER_FILES = 14
FORBIDDEN_OUTSIDE = {
    "ctypes": ("sandboxer/kernel/",),
    "prctl": ("sandboxer/kernel/",),
    "yaml": ("sandboxer/model/node.py",),
    "cerberus": ("sandboxer/compile/", "sandboxer/controls/"),
    "subprocess": (),
    "pickle": tuple(f"sandboxer/calls/{name}.py" for name in ("request", "talk/items", "talk/host", "serving", "channel")),
    "marshal": ("sandboxer/calls/bundle.py",),
}


TABLES = {
    "sandboxer/model/op.py": "a row for each op",
    "sandboxer/kernel/advice.py": "a row for each (call, errno)",
}


def is_table(path: Path) -> bool:
    """A table is exempt from sizes: it lies in abi/, which has nothing else, or it is one of the few above."""
    return path.parent.name == "abi" or name_of(path) in TABLES


def sources() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def part_of(module: str) -> str:
    """`sandboxer.compile.cache` -> `compile`."""
    pieces = module.split(".")
    return pieces[1] if len(pieces) > 1 else ""


def module_of(path: Path) -> str:
    pieces = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(pieces[:-1] if pieces[-1] == "__init__" else pieces)


def is_for_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a file imports when it runs; what only type checkers read does not count."""
    todo: list[ast.AST] = [ast.parse(path.read_text())]
    while todo:
        node = todo.pop()
        if is_for_checkers(node):
            assert isinstance(node, ast.If)
            todo += node.orelse
            continue
        todo += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno}: a relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_imports_go_down_only(path: Path) -> None:
    own = LAYERS[part_of(module_of(path))]
    upward = [
        f"line {line}: {name}"
        for line, name in imports(path)
        if name.startswith("sandboxer.") and LAYERS.get(part_of(name), 0) > own
    ]
    if path == PACKAGE / "__init__.py":
        upward = []  # the lazy names
    assert not upward


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_imports_of_dangerous_modules_stay_in_their_rooms(path: Path) -> None:
    found = []
    for line, name in imports(path):
        allowed = FORBIDDEN_OUTSIDE.get(name.split(".")[0])
        if allowed is not None and not name_of(path).startswith(tuple(allowed) or ("nowhere",)):
            found.append(f"line {line}: {name}")
    assert not found


@pytest.mark.parametrize(
    "name", [f"sandboxer/calls/{name}.py" for name in ("request", "talk/items", "talk/host", "call", "bundle")]
)
def test_caller_writes_pickles_and_code_and_never_reads_any(name: str) -> None:
    """What runs in the box may read them: it got them from its caller."""
    tree = ast.parse((ROOT / name).read_text())
    used = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    assert {item for item in used if item.startswith(("pickle.", "marshal."))} <= {
        "pickle.dumps",
        "pickle.PickleBuffer",
        "marshal.dumps",
    }
    assert not {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} & {"exec", "eval", "__import__"}


def rooms() -> list[str]:
    folder = PACKAGE / "controls"
    return sorted(
        {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
        - SHARED_BY_ROOMS
        - {"__init__", "__pycache__"}
    )


@pytest.mark.parametrize("room", rooms())
def test_rooms_do_not_import_one_another(room: str) -> None:
    folder = PACKAGE / "controls"
    paths = sorted((folder / room).rglob("*.py")) if (folder / room).is_dir() else [folder / f"{room}.py"]
    others = [
        f"{name_of(path)}:{line}: {name}"
        for path in paths
        for line, name in imports(path)
        if name.startswith("sandboxer.controls.") and name.split(".")[2] not in SHARED_BY_ROOMS | {room}
    ]
    assert not others


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_files_stay_small(path: Path) -> None:
    count = len(path.read_text().splitlines())
    assert is_table(path) or count <= MAX_FILE_LINES, f"{count} lines"


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_functions_stay_small(path: Path) -> None:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)]
    long = [
        f"{node.name}: {size}" for node in functions if (size := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION_LINES
    ]
    assert not long


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_modules_say_what_they_know(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_names_say_what_they_know() -> None:
    named = [name_of(path) for path in PACKAGE.rglob("*") if path.stem in BANNED_WORDS]
    for path in sources():
        named += [
            f"{name_of(path)}: {node.name}"
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ClassDef) and node.name.lower() in BANNED_WORDS
        ]
    assert not named


def folders() -> list[Path]:
    return sorted({path.parent for path in sources()})


@pytest.mark.parametrize("folder", folders(), ids=name_of)
def test_folders_stay_small(folder: Path) -> None:
    files = [path.name for path in folder.glob("*.py") if not is_table(path) and path.name != "__init__.py"]
    assert len(files) <= MAX_FOLDER_FILES
