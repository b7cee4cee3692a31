"""Exit with status 0 if this interpreter's environment has everything that pyproject.toml requires.

setup.sh runs it with the Python of .venv, when nothing of imagebuild can be relied on yet: standard
library only.
"""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Modules whose import may fail although their metadata is intact: compiled ones, or the distribution's.
MODULES = ("imagebuild", "click", "jinja2", "libvirt", "pydantic", "pykickstart", "yaml")


def wanted(project: dict[str, object]) -> set[str]:
    """Names of the distributions that a parsed pyproject.toml requires, including its dependency groups, except what
    has an environment of its own."""
    groups = project.get("dependency-groups", {})
    assert isinstance(groups, dict)
    entries = list(project["project"]["dependencies"])  # type: ignore[index]
    for name, group in groups.items():
        entries += [entry for entry in group if isinstance(entry, str) and name != "docs"]
    return {re.split(r"[^A-Za-z0-9._-]", entry, maxsplit=1)[0] for entry in entries}


def findings() -> list[str]:
    """What is missing, one sentence each."""
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
        found.append("the command imagebuild is missing from .venv/bin")
    return found


if __name__ == "__main__":
    problems = findings()
    sys.exit("\n".join(f"setup: .venv: {problem}" for problem in problems) if problems else 0)
