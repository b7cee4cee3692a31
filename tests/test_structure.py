"""The figures of `make structure` for a package of a few lines."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagebuild.host.process import run

SCRIPT = Path(__file__).parents[1] / "scripts" / "structure.py"


@pytest.fixture(scope="module")
def figures() -> dict[str, Callable[..., Any]]:
    return runpy.run_path(str(SCRIPT))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "tool"
    texts = {
        "__init__.py": "",
        "errors.py": "import os\n",
        "low/__init__.py": "",
        "low/one.py": "from tool import errors\nfrom tool.low import two\n",
        "low/two.py": "from tool.errors import Any\n",
        "high/__init__.py": "from tool.high.main import run\n",
        "high/main.py": "def f():\n    from tool.low import one\n\nif TYPE_CHECKING:\n    from tool.top import x\n",
        "top/__init__.py": "",
        "top/x.py": "from tool.high import main\n",
    }
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_imports_are_found_anywhere_in_a_file(figures: dict[str, Callable[..., Any]], package: Path) -> None:
    graph = figures["imports"](package)
    assert graph["low.one"] == {"errors", "low", "low.two"}
    assert graph["high.main"] == {"low", "low.one"}, "imports for types only are left out"
    rooms = figures["rooms"](graph)
    assert rooms == {"errors": set(), "low": {"errors"}, "high": {"low"}, "top": {"high"}}
    assert figures["depth"](rooms) == 4


def test_cycles_are_found(figures: dict[str, Callable[..., Any]]) -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": set()}
    assert figures["circles"](graph) == [["a", "b", "c"]]
    assert figures["depth"](graph) == 2, "a cycle counts as one floor"
    assert figures["mutual"]({"a": {"b"}, "b": {"a", "c"}, "c": set()}) == [("a", "b")]


def test_a_cycle_is_a_failure(package: Path) -> None:
    assert "circles of rooms: 0" in run([sys.executable, str(SCRIPT), str(package)], timeout=60).stdout
    (package / "low" / "two.py").write_text("from tool.top import x\n")
    done = run([sys.executable, str(SCRIPT), str(package)], timeout=60, check=False)
    assert done.returncode == 1
    assert "high <-> " not in done.stdout
    assert "  high low top" in done.stdout
