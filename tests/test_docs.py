"""The documentation matches the code: its links, examples and tables are checked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_layers import PACKAGE, ROOMS

from imagebuild.cli.main import cli
from imagebuild.recipe.load import load_all

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    """The text between a title and the next one."""
    return text.partition(title)[2].partition("\n## ")[0]


def table(text: str, head: str) -> dict[str, str]:
    """The first two columns of the table whose first column is headed ``head``."""
    lines = text.split(f"\n| {head} |", 1)[1].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[: lines.index("")]]
    return {row[0].strip("`"): row[1] for row in rows}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_have_targets(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (document.parent / target).exists()]
    assert not missing


def test_the_recipes_in_the_readme_are_valid(tmp_path: Path) -> None:
    examples = re.findall(r"```yaml\n(.*?)```", text_of("README.md"), re.DOTALL)
    names = []
    for number, example in enumerate(examples):
        path = tmp_path / "recipes" / f"{number}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(example, encoding="utf-8")
        names += [recipe.name for recipe in load_all(path)]
    assert names == ["web", "shop-12-minimal", "shop-13-minimal", "shop-13-web"]


def test_the_readme_names_every_command() -> None:
    documented = {line.split()[1] for line in table(text_of("README.md"), "command")}
    assert documented == set(cli.commands)


def test_the_rooms_are_listed_in_order() -> None:
    listed = re.findall(r"^    (\w+)  +\w.*$", section(text_of("docs/development.md"), "## Rooms"), re.MULTILINE)
    assert listed == [room for room in reversed(ROOMS) if (PACKAGE / room).is_dir()]
