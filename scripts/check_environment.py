"""Ends with status 0 when this interpreter's environment has all that pyproject.toml asks for.

Run by setup.sh with the Python of .venv, before anything of imagebuild can be counted on: standard library only.
"""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Those whose import has broken before their metadata did: compiled, or the distribution's own.
MODULES = ("imagebuild", "click", "jinja2", "libvirt", "pydantic", "pykickstart", "yaml")


def wanted(project: dict[str, object]) -> set[str]:
    """Names of the distributions that a parsed pyproject.toml asks for, the dependency groups included."""
    groups = project.get("dependency-groups", {})
    assert isinstance(groups, dict)
    entries = list(project["project"]["dependencies"])  # type: ignore[index]
    for group in groups.values():
        entries += [entry for entry in group if isinstance(entry, str)]
    return {re.split(r"[^A-Za-z0-9._-]", entry, maxsplit=1)[0] for entry in entries}


def findings() -> list[str]:
    """What is missing, a sentence each."""
    found = []
    for name in sorted(wanted(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8")))):
        try:
            version(name)
        except PackageNotFoundError:
            found.append(f"{name} is not installed")
    for name in MODULES:
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            found.append(f"{name} cannot be imported: {error}")
            continue
        if name == "imagebuild" and ROOT not in Path(module.__file__ or "").resolve().parents:
            found.append(f"imagebuild comes from {module.__file__}, not from {ROOT}")
    if not (Path(sys.prefix) / "bin" / "imagebuild").exists():
        found.append("the command imagebuild is not there")
    return found


if __name__ == "__main__":
    problems = findings()
    sys.exit("\n".join(f"setup: .venv: {problem}" for problem in problems) if problems else 0)
