"""All tests of kickstarts pass with the oldest pykickstart that pyproject.toml allows; other tests
use the locked one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("tests/kickstart", "tests/kickstrap", "tests/recipes")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a Python that finds the oldest version first."""
    found = re.search(r'"pykickstart>=([\d.]+),<[\d.]+"', (ROOT / "pyproject.toml").read_text())
    assert found is not None
    folder = tmp_path_factory.mktemp("oldest")
    install = ["pip", "install", "--quiet", "--no-deps", "--target", str(folder), f"pykickstart=={found[1]}"]
    subprocess.run([sys.executable, "-m", *install], check=True, timeout=300)
    environment = os.environ | {"PYTHONPATH": str(folder)}
    ask = "import importlib.metadata; print(importlib.metadata.version('pykickstart'))"
    done = subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == found[1]
    return environment


@pytest.mark.index
def test_kickstarts_are_parsed_and_checked(environment: dict[str, str]) -> None:
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *FOLDERS]
    quick = ["-m", "not guestfs and not vm and not slow and not index"]
    done = subprocess.run([*argv, *quick], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
