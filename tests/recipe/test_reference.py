"""docs/recipes.md matches the model, and its examples work."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from imagebuild.cli.main import cli
from imagebuild.kickstart.check import check
from imagebuild.kickstart.render import LiveimgPayload, PackagesPayload, Payload, render
from imagebuild.kickstrap.agent import supported
from imagebuild.recipe.folders import shipped
from imagebuild.recipe.reference import table
from imagebuild.recipe.secrets import SampleSecrets
from recipes import MINIMAL, problems, recipe

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_keys_match_the_model(golden: Callable[[Path, str], None]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    begin, end = re.search(r"<!-- keys: begin .*? -->\n", page), page.index("<!-- keys: end -->")
    assert begin is not None
    golden(PAGE, page[: begin.end()] + table() + page[end:])


FILES = {text.partition("\n")[0].removeprefix("# "): text for text in examples("yaml") if text.startswith("# recipes/")}


@pytest.mark.parametrize(
    "text",
    [text for text in examples("yaml") if text not in FILES.values()],
    ids=lambda text: text.partition(":")[0],
)
def test_every_recipe_in_it_is_valid(text: str) -> None:
    assert problems(text, base="" if text.startswith("name:") else MINIMAL) == []


def test_the_project_in_it_yields_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("imagebuild.recipe.folders.shipped", lambda _: None)
    for shown in examples("console"):
        command, output = shown.removeprefix("$ imagebuild ").split("\n", 1)
        cli.main(command.split(), standalone_mode=False)
        assert capsys.readouterr().out == output


def test_the_problems_it_shows_are_reported_in_these_words() -> None:
    more = "# web\npackages: [vim, two words]\ndisk: {bus: virtoi}\noperations: [remove-udev-rule]\n"
    (shown,) = examples("text")
    reported = [text.partition(" [did")[0].replace("small.yaml", "web.yaml") for text in problems(more)]
    assert reported == shown.splitlines()


@pytest.mark.parametrize(
    "payload",
    [PackagesPayload("http://mirror.example/debian", "trixie", ("main",)), LiveimgPayload("file:///x", "0" * 64)],
)
def test_the_template_in_it_is_valid(tmp_path: Path, payload: Payload) -> None:
    (text,) = examples("jinja")
    (tmp_path / "own.ks.j2").write_text(text, encoding="utf-8")
    own = shipped("kickstart")
    assert own is not None
    made = recipe("kickstart: {template: own.ks.j2}\n")
    kickstart = render(made, payload=payload, nonce="a1b2c3d4", secrets=SampleSecrets(), folders=[tmp_path, own])
    parsed = check(kickstart, version=supported.KICKSTART_VERSION, supported=supported.check)
    assert "grub-pc" in parsed.packages
