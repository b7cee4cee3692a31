"""The site of docs/: every document is in it, its links work, and nothing comes from another host."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from imagebuild.recipe.load import load_all

ROOT = Path(__file__).resolve().parent.parent
INDEX = ROOT / "docs" / "site" / "index.md"
SCRIPT = ROOT / "scripts" / "docs.sh"
FOREIGN = re.compile(
    r"""<(?:script|link|img|iframe|source|video|audio)[^>]+(?:src|href)=["'](?:https?:)?//[^"']*"""
    r"""|url\(["']?(?:https?:)?//[^)]*|@import\s+["'](?:https?:)?//[^"']*"""
)
GUIDES = [ROOT / "docs" / "tutorial.md", *sorted((ROOT / "docs" / "how-to").glob("*.md"))]


def test_every_document_is_in_the_contents_once() -> None:
    trees = re.findall(r"```{toctree}\n(.*?)```", INDEX.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for tree in trees for line in tree.splitlines() if line and not line.startswith(":")]
    listed = [(INDEX.parent / f"{line}.md").resolve() for line in lines]
    documents = {path for path in (ROOT / "docs").rglob("*.md") if path != INDEX}
    assert sorted(listed) == sorted({*documents, ROOT / "README.md", ROOT / "NEWS.md"})


@pytest.mark.parametrize("document", GUIDES, ids=lambda path: path.stem)
def test_the_recipes_of_the_guides_are_valid(document: Path, tmp_path: Path) -> None:
    examples = re.findall(r"```yaml\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
    for number, example in enumerate(one for one in examples if one.startswith("extends:")):
        path = tmp_path / f"{number}.yaml"
        path.write_text(example, encoding="utf-8")
        assert load_all(path, given={"sha256": "0" * 64})


@pytest.mark.index
def test_the_site_is_complete_and_needs_no_other_host(tmp_path: Path) -> None:
    subprocess.run([SCRIPT, tmp_path / "site"], check=True, timeout=600)
    pages = {path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*.html")}
    assert {"index.html", "docs/site/index.html", "docs/tutorial.html", "docs/commands.html", "README.html"} <= pages
    found = [
        (path.name, match)
        for path in (tmp_path / "site").rglob("*")
        if path.suffix in (".html", ".css", ".js")
        for match in FOREIGN.findall(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.index
@pytest.mark.parametrize("link", ["[x](nowhere.md)", "[x](recipes.md#nowhere)"], ids=["file", "heading"])
def test_a_broken_link_is_an_error(link: str, tmp_path: Path) -> None:
    for name in ("README.md", "NEWS.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("docs", "scripts", "recipes", "kickstart", "imagebuild"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    tools = ROOT / "build" / "docs-tools"
    subprocess.run([SCRIPT, tmp_path / "first"], check=True, timeout=600)  # installs the tools
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "docs-tools").symlink_to(tools)
    with (tmp_path / "docs" / "tutorial.md").open("a", encoding="utf-8") as file:
        file.write(f"\n{link}\n")
    done = subprocess.run([tmp_path / "scripts" / "docs.sh"], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 1
    assert "tutorial.md" in done.stderr
    assert "nowhere" in done.stderr
