"""Print the package's structure: its rooms, the depth of imports, rooms that import each other.

    python scripts/structure.py [FOLDER]

FOLDER is the folder of a package (default: imagebuild, next to this script's folder). A room is a
folder or a module at the top level of the package. Imports for type checking only are ignored. The
depth is the longest chain of imports between rooms; a circle counts as one floor.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path

Graph = dict[str, set[str]]
"""What each module, or each room, imports."""
IN_THE_VM = ("kickstrap/agent/", "kickstrap/rootfs/")
"""Separate programs, which run in an installer's virtual machine."""


def modules(package: Path) -> dict[str, Path]:
    """The modules of a package by name, relative to the package."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        relative = path.relative_to(package)
        if relative.as_posix().startswith(IN_THE_VM):
            continue
        parts = relative.with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(package: Path) -> Graph:
    """The other modules of the package that each module imports at run time."""
    known = modules(package)
    graph: Graph = {}
    for name, path in known.items():
        folder = name if path.name == "__init__.py" else name.rpartition(".")[0]
        found = set(_imported(ast.parse(path.read_text(encoding="utf-8")), package.name, folder))
        graph[name] = {one for one in found if one in known and one not in ("", name)}
    return graph


def _imported(tree: ast.AST, package: str, folder: str) -> Iterator[str]:
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (one.name.partition(".")[2] for one in node.names if one.name.split(".")[0] == package)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                parts = folder.split(".") if folder else []
                module = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [module])])
            elif module.split(".")[0] == package:
                module = module.partition(".")[2]
            else:
                continue
            yield module
            yield from (f"{module}.{one.name}".lstrip(".") for one in node.names)


def rooms(graph: Graph) -> Graph:
    """The other rooms that each room imports."""
    found: Graph = {}
    for name, others in graph.items():
        room = name.split(".")[0]
        if room not in ("", "__main__"):
            found.setdefault(room, set()).update(other.split(".")[0] for other in others)
    return {room: others - {room, ""} for room, others in found.items()}


def mutual(graph: Graph) -> list[tuple[str, str]]:
    """Pairs of rooms that import each other."""
    return sorted((one, other) for one in graph for other in graph[one] if one < other and one in graph.get(other, ()))


def circles(graph: Graph) -> list[list[str]]:
    """Groups of two or more that can all reach each other (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(graph.get(name, ())):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            at = stack.index(name)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return found


def depth(graph: Graph) -> int:
    """The number of floors: the longest chain of imports, each circle counting as one."""
    group = {name: name for name in graph}
    for circle in circles(graph):
        group |= dict.fromkeys(circle, circle[0])
    whole: Graph = {one: set() for one in group.values()}
    for name, others in graph.items():
        whole[group[name]] |= {group[other] for other in others if other in group} - {group[name]}
    floor: dict[str, int] = {}
    for name in TopologicalSorter(whole).static_order():
        floor[name] = 1 + max((floor[other] for other in whole[name]), default=0)
    return max(floor.values(), default=0)


def report(package: Path) -> Iterator[str]:
    """The figures, one per line."""
    graph = imports(package)
    between = rooms(graph)
    alone = sorted(room for room in between if (package / f"{room}.py").is_file())
    folders = sorted(set(between) - set(alone))
    yield f"rooms: {len(between)}, {len(folders)} folders and {len(alone)} modules at the top level"
    yield from _wrapped("modules", alone)
    yield f"floors: {depth(between)} of rooms, {depth(graph)} of modules"
    yield f"imports between rooms: {sum(map(len, between.values()))}"
    yield f"pairs of rooms that import each other: {len(mutual(between))}"
    yield from (f"  {one} <-> {other}" for one, other in mutual(between))
    groups = circles(between)
    yield f"circles of rooms: {len(groups)}"
    yield from (f"  {' '.join(group)}" for group in groups)
    yield f"circles of modules: {len(circles(_without_packages(graph, package)))}"


def _without_packages(graph: Graph, package: Path) -> Graph:
    """Leave out each folder's __init__: it runs before any of its modules, so it is not part of a circle."""
    packages = {name for name, path in modules(package).items() if path.name == "__init__.py"}
    return {name: others - packages for name, others in graph.items() if name not in packages}


def _wrapped(title: str, names: Iterable[str]) -> Iterator[str]:
    text = ", ".join(names)
    if text:
        yield f"  {title}: {text}"


def main() -> int:
    """Print the figures; 1 if there is a circle."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "package", metavar="FOLDER", type=Path, nargs="?", default=Path(__file__).parents[1] / "imagebuild"
    )
    package = parser.parse_args().package.resolve()
    sys.stdout.writelines(f"{line}\n" for line in report(package))
    return 1 if circles(rooms(imports(package))) else 0


if __name__ == "__main__":
    sys.exit(main())
