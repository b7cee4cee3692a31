"""Imports go down the rooms only, and each external interface is accessed by one module.

The tests read the source, so nothing is imported, and imports in branches are found too.
"""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import imagebuild

PACKAGE = Path(imagebuild.__file__).parent

# From the bottom up: folders, and modules that everything uses. Each may import those above its line, and itself.
ROOMS = (
    "printable",
    "errors",
    "log",
    "progress",
    "files",
    "junit",
    "fingerprint",
    "json_lines",
    "trace",
    "contents",
    "host",
    "image",
    "fetch",
    "store",
    "ledger",
    "sbom",
    "kernel",
    "guest",
    "schema",
    "events",
    "customise",
    "verify",
    "migration",
    "recipe",
    "project",
    "storage",
    "trust",
    "remote",
    "kickstart",
    "machine",
    "step",
    "install",
    "kickstrap",
    "anaconda",
    "scrub",
    "build",
    "reproduce",
    "exports",
    "publish",
    "shelf",
    "pictures",
    "page",
    "farm",
    "nightly",
    "doctor",
    "skeleton",
    "api",
    "cli",
)
# Separate programs: they run in the installer's virtual machine, on a host that gets published files, or as QEMU.
OWN = ("imagebuild.kickstrap.agent", "imagebuild.publish.agent")
ELSEWHERE = ("guest/qemu_wrapper/", "kickstrap/agent/", "kickstrap/rootfs/", "publish/agent/")


def runs_elsewhere(path: Path) -> bool:
    return path.relative_to(PACKAGE).as_posix().startswith(ELSEWHERE)


SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if not runs_elsewhere(path))
HOST_AGENT = sorted((PACKAGE / "publish" / "agent").rglob("*.py"))
WRAPPER = sorted((PACKAGE / "guest" / "qemu_wrapper").rglob("*.py"))
AGENT = [*sorted((PACKAGE / "kickstrap" / "agent").rglob("*.py")), *HOST_AGENT, *WRAPPER]


def name_of(path: Path) -> str:
    """`imagebuild.recipe.model.recipe` for imagebuild/recipe/model/recipe.py."""
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


@cache
def imports(path: Path, *, running_only: bool = False) -> frozenset[str]:
    """Absolute names of the modules that a source file imports, anywhere in the file."""
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
    return frozenset(found)


def is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return name.startswith("imagebuild.") and (path.with_suffix(".py").exists() or (path / "__init__.py").exists())


def floor_of(module: str) -> int | None:
    """The position of `imagebuild.<room>…` in ROOMS; None for the package itself and for foreign
    modules.
    """
    package, _, rest = module.partition(".")
    room = rest.split(".")[0]
    return ROOMS.index(room) if package == "imagebuild" and room in ROOMS else None


def test_every_module_has_a_room() -> None:
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in SOURCES} - {"__init__", "__main__"}
    assert rooms == set(ROOMS), "add a new room to ROOMS and to docs/development.md"


def test_imports_go_down_only() -> None:
    upward = []
    for path in SOURCES:
        own = floor_of(name_of(path))
        if own is None:
            # The package's own __init__ and __main__: the first only names the public interface, for type checkers; the
            # second starts the cli.
            own = ROOMS.index("cli") if path.name == "__main__.py" else -1
        running = imports(path, running_only=own < 0)
        upward += [(name_of(path), name) for name in running if (floor := floor_of(name)) is not None and floor > own]
    assert not upward


def test_an_installer_is_named_in_one_place_only() -> None:
    asked = re.compile(r"installer\.type\b")
    users = {name_of(path) for path in SOURCES if asked.search(path.read_text(encoding="utf-8"))}
    # The recipe's model checks which keys belong to which installer.
    assert users <= {"imagebuild.build.installers", "imagebuild.recipe.model.installation"}
    rooms = {name_of(path).split(".")[1] for path in SOURCES if name_of(path).endswith(".installer")}
    assert rooms - {"recipe"} == {"kickstrap", "anaconda"}


def test_there_are_no_import_cycles() -> None:
    graph = {name_of(path): imports(path, running_only=True) - {name_of(path)} for path in SOURCES}
    known = set(graph)
    # A package's __init__ runs before any of its modules, so it is not an edge of the graph.
    inits = {name_of(path) for path in SOURCES if path.name == "__init__.py"}
    sorter = TopologicalSorter({name: (found & known) - inits for name, found in graph.items()})
    try:
        sorter.prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize(
    ("outside", "only"),
    [
        ("subprocess", "host.process"),
        ("guestfs", "guest.launch"),
        ("libvirt", ("host.hypervisor", "host.domain", "host.libvirt_host")),
        ("nbd", "image.nbd_disk"),
        ("pycurl", "fetch.transfer"),
        ("sqlite3", "store.history"),
        (
            "sqlalchemy",
            ("ledger.connection", "ledger.ledger", "ledger.tables", "ledger.migrations.versions.v0001_tables"),
        ),
        ("distributed", ("farm.cluster", "farm.scheduling", "farm.security", "farm.worker")),
        (
            "alembic",
            (
                "cli.farm_options",
                "ledger.connection",
                "ledger.migrations.env",
                "ledger.migrations.versions.v0001_tables",
            ),
        ),
        ("testinfra", "verify.testinfra_backend"),
        ("s3fs", "storage.s3_client"),
        ("sigstore", ("trust.bundle", "trust.keyless")),
    ],
    ids=str,
)
def test_one_module_accesses_each_external_interface(outside: str, only: str | tuple[str, ...]) -> None:
    users = {
        name_of(path)
        for path in SOURCES
        if any(name == outside or name.startswith(f"{outside}.") for name in imports(path, running_only=True))
    }
    assert users <= {f"imagebuild.{name}" for name in ([only] if isinstance(only, str) else only)}


def test_one_module_takes_locks() -> None:
    users = {
        name_of(path)
        for path in SOURCES
        if any(isinstance(node, ast.Attribute) and node.attr == "flock" for node in ast.walk(tree_of(path)))
    }
    assert users == {"imagebuild.host.locks"}


def test_programs_are_started_by_the_process_module_only() -> None:
    starters = {"system", "popen", "fork", "forkpty", "posix_spawn", "posix_spawnp"}
    found = []
    # it becomes the program that it was started for
    for path in {*SOURCES} - {PACKAGE / "kickstrap" / "agent" / "without_sync.py"}:
        called = {node.attr for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute) and is_os(node)}
        found += [(path, name) for name in called if name in starters or name.startswith(("exec", "spawn"))]
        found += [(path, name) for name in imports(path) if name.split(".")[0] in {"multiprocessing", "pty"}]
    assert not found


def is_os(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "os"


def test_only_the_command_line_prints() -> None:
    found = []
    for path in SOURCES:
        if PACKAGE / "cli" in path.parents:
            continue
        calls = (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call))
        found += [
            f"{path}:{call.lineno}" for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"
        ]
        found += [(path, name) for name in imports(path) if name.split(".")[0] in {"rich", "click"}]
    assert not found


def test_the_agent_imports_nothing_of_imagebuild() -> None:
    """Of imagebuild it may import only itself, by relative names, because the package has another
    name in the VM.
    """
    known = {*sys.stdlib_module_names, "pykickstart"}
    found = []
    for path in AGENT:
        for node in ast.walk(tree_of(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            found += [(path, name) for name in names if name.split(".")[0] not in known]
        found += [(path, name) for name in imports(path) if name.startswith("imagebuild") and not name.startswith(OWN)]
    assert not found


def test_the_agent_on_a_host_needs_the_standard_library_of_python_3_6_only() -> None:
    for path in HOST_AGENT:
        ast.parse(path.read_text(encoding="utf-8"), filename=str(path), feature_version=(3, 6))
        assert not any(name.startswith(("pykickstart", "__future__")) for name in imports(path))


def classes() -> dict[str, set[str]]:
    """The name of each class → the modules that define one of that name."""
    found: dict[str, set[str]] = {}
    for path in (*SOURCES, *AGENT):
        for node in tree_of(path).body:
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, set()).add(name_of(path))
    return found


def test_a_class_name_means_one_thing() -> None:
    """A class name is unique, so that a reader knows which class is meant."""
    # By convention, every operation has a class Params.
    shared = {name: modules for name, modules in classes().items() if len(modules) > 1 and name != "Params"}
    assert not shared


def test_no_file_name_is_used_in_three_folders() -> None:
    # `installer` is part of the protocol: each installer has one. A command's module is named after what it shows,
    # and a check's after the name that users write.
    places: dict[str, list[str]] = {}
    for path in (*SOURCES, *AGENT):
        if path.name not in ("__init__.py", "__main__.py", "installer.py") and path.parent.name != "checks":
            places.setdefault(path.name, []).append(path.relative_to(PACKAGE).parent.as_posix())
    assert {name: folders for name, folders in places.items() if len(folders) > 2} == {}


def test_names_of_tests_are_unique() -> None:
    """pytest refuses the second of two files with one name in folders that are no packages."""
    files = [path for path in Path(__file__).parent.rglob("test_*.py") if not (path.parent / "__init__.py").exists()]
    found = [path.name for path in files]
    assert [name for name in sorted(set(found)) if found.count(name) > 1] == []
