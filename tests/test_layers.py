"""Imports go down the layers only, and each outside world has one module that touches it.

Read from the source, so nothing is imported and no import can hide behind a branch.
"""

from __future__ import annotations

import ast
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import imagebuild

PACKAGE = Path(imagebuild.__file__).parent

# From the bottom up. A module may import its own layer and those below it.
LAYERS = {
    "base": {"errors", "progress", "log", "files", "fstab"},
    "adapters": {"run", "guest", "hypervisor", "qemu_img", "fetch", "accel"},
    "domain": {
        "recipe",
        "kickstart",
        "plan",
        "fingerprint",
        "install",
        "kickstrap",
        "customise",
        "convert",
        "manifest",
        "store",
        "artifact",
        "tools",
        "evidence",
    },
    "engine": {"build", "steps", "verify", "publish", "doctor"},
    "cli": {"cli"},
}
ORDER = list(LAYERS)
# Programs of their own: they run in the installer's virtual machine, not here.
IN_THE_VM = ("kickstrap/agent/", "kickstrap/rootfs/")


def is_in_the_vm(path: Path) -> bool:
    return path.relative_to(PACKAGE).as_posix().startswith(IN_THE_VM)


SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if not is_in_the_vm(path))
AGENT = sorted((PACKAGE / "kickstrap" / "agent").rglob("*.py"))


def name_of(path: Path) -> str:
    """`imagebuild.recipe.model` for imagebuild/recipe/model.py."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def type_checking_only(tree: ast.Module) -> set[ast.stmt]:
    """Statements under `if TYPE_CHECKING:`, which never run."""
    return {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
        if isinstance(inner, ast.stmt)
    }


def imports(path: Path, *, running_only: bool = False) -> set[str]:
    """Absolute names of the modules that a source file imports, wherever in the file it does."""
    tree = tree_of(path)
    skipped = type_checking_only(tree) if running_only else set()
    package = name_of(path) if path.name == "__init__.py" else name_of(path).rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = package.split(".")[: len(package.split(".")) - (node.level - 1)] if node.level else []
            module = ".".join([*parent, *([node.module] if node.module else [])])
            found.add(module)
            # `from package import module` imports the module too.
            found.update(f"{module}.{alias.name}" for alias in node.names if is_module(f"{module}.{alias.name}"))
    return found


def is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return name.startswith("imagebuild.") and (path.with_suffix(".py").exists() or (path / "__init__.py").exists())


def layer_of(module: str) -> int | None:
    """The position of `imagebuild.<unit>…` in ORDER; None for the package itself and for foreign modules."""
    package, _, rest = module.partition(".")
    if package != "imagebuild" or not rest:
        return None
    unit = rest.split(".")[0]
    for position, name in enumerate(ORDER):
        if unit in LAYERS[name]:
            return position
    return None


def test_every_module_has_a_layer() -> None:
    units = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in SOURCES} - {"__init__", "__main__"}
    assert units <= set.union(*LAYERS.values()), "give a new module its place in LAYERS, and in docs/development.md"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_go_down_only(path: Path) -> None:
    own = layer_of(name_of(path))
    if own is None:  # the package's own __init__ and __main__: the first imports nothing, the second starts the cli
        own = ORDER.index("cli") if path.name == "__main__.py" else -1
    upward = {name for name in imports(path) if (layer := layer_of(name)) is not None and layer > own}
    assert not upward


def test_no_module_waits_for_itself() -> None:
    graph = {name_of(path): imports(path, running_only=True) - {name_of(path)} for path in SOURCES}
    known = set(graph)
    # A package's __init__ runs before its modules, whoever is imported: it is no edge of the graph.
    inits = {name_of(path) for path in SOURCES if path.name == "__init__.py"}
    sorter = TopologicalSorter({name: (found & known) - inits for name, found in graph.items()})
    try:
        sorter.prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize(
    ("outside", "only"),
    [("subprocess", "run"), ("guestfs", "guest"), ("libvirt", "hypervisor")],
    ids=lambda value: value,
)
def test_one_module_touches_each_outside_world(outside: str, only: str) -> None:
    users = {
        name_of(path)
        for path in SOURCES
        if any(name == outside or name.startswith(f"{outside}.") for name in imports(path, running_only=True))
    }
    assert users <= {f"imagebuild.{only}"}


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_program_is_started_behind_run(path: Path) -> None:
    calls = {node.attr for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute) and is_os(node)}
    starters = {"system", "popen", "fork", "forkpty", "posix_spawn", "posix_spawnp"}
    assert not {name for name in calls if name in starters or name.startswith(("exec", "spawn"))}
    assert not any(name.split(".")[0] in {"multiprocessing", "pty"} for name in imports(path))


def is_os(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "os"


@pytest.mark.parametrize("path", [path for path in SOURCES if PACKAGE / "cli" not in path.parents], ids=name_of)
def test_only_the_command_line_prints(path: Path) -> None:
    tree = tree_of(path)
    printed = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not printed, f"{path}:{printed}"
    assert not any(name.split(".")[0] in {"rich", "click"} for name in imports(path))


@pytest.mark.parametrize("path", AGENT, ids=name_of)
def test_the_agent_stands_alone(path: Path) -> None:
    own = "imagebuild.kickstrap.agent"
    foreign = {
        name
        for name in imports(path)
        if not name.startswith(own) and name.split(".")[0] not in {*sys.stdlib_module_names, "pykickstart"}
    }
    assert not foreign
    absolute = {
        node.module
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").startswith("imagebuild")
    }
    assert not absolute, "the agent's package has another name in the virtual machine"
