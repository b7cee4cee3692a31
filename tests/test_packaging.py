"""The sdist and the wheel, and what a release checks."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import imagebuild
from imagebuild.host.process import run

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist of this work tree, and the wheel that was built from it, without git."""
    folder = tmp_path_factory.mktemp("dist")
    source = folder / "source"
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if not name.startswith(("tests/", "findings/")) and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, source], timeout=300)
    return folder


@pytest.fixture(scope="module")
def check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_wheel", ROOT / "scripts" / "check_wheel.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.seconds
def test_the_wheel_from_the_sdist_has_everything(built: Path, check: ModuleType) -> None:
    [wheel] = built.glob("*.whl")
    assert wheel.name == f"imagebuild-{imagebuild.__version__}-py3-none-any.whl"
    assert check.wanted() - check.contained(wheel) == set()
    assert "imagebuild/py.typed" in check.contained(wheel)
    assert not [name for name in check.contained(wheel) if name.startswith(("tests/", "bench/", "docs/"))]


@pytest.mark.seconds
def test_the_sdist_needs_nothing_else_to_build(built: Path) -> None:
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "LICENSE", "README.md", "recipes/debian-13.yaml", "docs/imagebuild.1"} <= names


def test_installing_needs_no_compiler_and_no_binding() -> None:
    names = {re.split(r"[^A-Za-z0-9._-]", entry, maxsplit=1)[0] for entry in PROJECT["project"]["dependencies"]}
    assert names & {"libvirt-python", "guestfs", "libnbd"} == set()


def test_the_documented_packages_are_what_setup_installs() -> None:
    text = (ROOT / "docs" / "installation.md").read_text(encoding="utf-8")
    listed = text.partition("apt-get install --no-install-recommends ")[2].partition("pipx install")[0]
    script = (ROOT / "scripts" / "setup.sh").read_text(encoding="utf-8")
    table = script.partition("debian_packages() {")[2].partition("\nEND")[0]
    known = set(re.findall(r"^([a-z0-9+.-]+)\|", table, re.MULTILINE))
    # Only a checkout needs these, or only the benchmark and tests do, or every Debian has them.
    left_out = {
        "python3-venv",
        "libguestfs-tools",
        "libxml2-utils",
        "groff-base",
        "ca-certificates",
        "gpg-agent",
        "gpgconf",
    }
    assert set(listed.replace("\\", " ").split()) == (known - left_out) | {"pipx"}


def released(
    tmp_path: Path, heading: str, *, tag: bool = False, dirty: bool = False
) -> subprocess.CompletedProcess[str]:
    """What `scripts/release.sh --check` says about a repository with this newest heading in NEWS.md."""
    for name in ("scripts/release.sh", "imagebuild/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "NEWS.md").write_text(f"# News\n\n## {heading}\n\n- More.\n\n## 0.0.1, 2026-01-01\n")
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org",
           "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org"}  # fmt: skip
    version = imagebuild.__version__
    steps = [["init", "-q"], ["add", "."], ["commit", "-qm", "first"]]
    steps += [["tag", f"v{version}"], ["commit", "-q", "--allow-empty", "-m", "second"]] if tag else []
    for words in steps:
        subprocess.run(["git", *words], cwd=tmp_path, env=env, check=True)
    if dirty:
        (tmp_path / "left").touch()
    argv = [tmp_path / "scripts" / "release.sh", "--check"]
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=60)


def test_a_release_is_ready_when_version_and_news_agree(tmp_path: Path) -> None:
    done = released(tmp_path, f"{imagebuild.__version__}, 2026-12-01")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("heading", "tag", "dirty", "said"),
    [
        (f"{imagebuild.__version__}, not released yet", False, False, "is not released yet"),
        ("99.0.0, 2026-12-01", False, False, "the newest heading of NEWS.md is '99.0.0, 2026-12-01'"),
        (f"{imagebuild.__version__}, 2026-12-01", True, False, "exists, on another commit"),
        (f"{imagebuild.__version__}, 2026-12-01", False, True, "the work tree is not clean"),
    ],
    ids=["not released", "other version", "tagged before", "not committed"],
)
def test_what_keeps_from_a_release(tmp_path: Path, heading: str, *, tag: bool, dirty: bool, said: str) -> None:
    done = released(tmp_path, heading, tag=tag, dirty=dirty)
    assert done.returncode == 1
    assert said in done.stderr
    assert "hint: " in done.stderr


def test_the_newest_news_are_about_this_version() -> None:
    heading = re.findall(r"^## (.+)$", (ROOT / "NEWS.md").read_text(encoding="utf-8"), re.MULTILINE)[0]
    assert re.fullmatch(rf"{re.escape(imagebuild.__version__)}, (not released yet|\d{{4}}-\d\d-\d\d)", heading)
