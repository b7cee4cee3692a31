"""`imagebuild graph`: the plan as DOT and SVG, laid out by the real dot."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from imagebuild.build import engine
from imagebuild.build.engine import Outlook
from imagebuild.build.step_cache import Settings
from imagebuild.cli.main import cli
from imagebuild.errors import HostError, UsageError
from imagebuild.pictures import optional, plan_graph
from imagebuild.pictures.svg import tag
from imagebuild.recipe.load import load_all
from imagebuild.store.store import Store

BAD = 'x"];evil [label=<b>&lt;</b>] \\N\\G\\n\x1b]0;t\x07\u202e</text><script>alert(1)</script>&amp;'
HEAD = "os: {family: debian, version: 13, codename: trixie}\ninstaller: {mirror: http://mirror.example/debian}\n"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes/web.yaml").write_text(f"name: web\n{HEAD}")
    (tmp_path / "recipes/shop.yaml").write_text(f"name: shop-${{size}}\nmatrix: {{size: [s, l]}}\n{HEAD}")
    monkeypatch.setenv("IMAGEBUILD_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def outlook(tmp_path: Path) -> Outlook:
    """A plan of which the first two steps are in the store."""
    (recipe,) = load_all("web")
    found = engine.planned(recipe, Settings(Store(tmp_path / "store"), tmp_path / "artifacts"))
    names = [step.name for step in found.plan.steps]
    reasons = {name: f"because of {name}" for name in names[2:]}
    return replace(found, to_run=reasons, expected={names[2]: 90.0})


def ran(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def texts(root: ET.Element) -> str:
    return " ".join("".join(one.itertext()) for one in root.iter(tag("text")))


def nodes(root: ET.Element) -> dict[str, str]:
    """The names of the nodes, as somebody hears them, and their classes."""
    return {
        str(group.findtext(tag("title"))): group.get("class", "")
        for group in root.iter(tag("g"))
        if group.get("class", "").startswith("node")
    }


def test_steps_show_whether_they_run_and_why(outlook: Outlook) -> None:
    root = ET.fromstring(plan_graph.picture(outlook))
    found = nodes(root)
    steps = outlook.plan.steps
    assert found[f"{steps[0].name} ({steps[0].what}): cached"] == "node cached"
    what = f"{steps[2].name} ({steps[2].what}): to run: because of {steps[2].name}, about 1.5 min"
    assert found[what] == "node run"
    assert found["the image: will be made"] == "node image"
    assert "inputs of install:" in texts(root)
    assert "because of convert" in texts(root)


def test_the_picture_has_names_and_adapts_to_dark_pages(outlook: Outlook) -> None:
    root = ET.fromstring(plan_graph.picture(outlook))
    ids = {one.get("id"): one.text for one in root if one.get("id")}
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "title description"
    assert ids["title"] == "The plan of web: 6 steps, 2 cached"
    assert "to run: because of install" in str(ids["description"])
    style = "".join(str(one.text) for one in root.iter(tag("style")))
    light, dark = style.split("@media (prefers-color-scheme:dark)")
    for rule in ("cached path", "run path", "inputs polygon", "image path", "edge path", "text", "page"):
        assert f"{rule}" in light
        assert f"{rule}" in dark


def edges(text: str) -> set[tuple[str, str]]:
    return set(re.findall(r"^\s*(\w+) -> (\w+)", text, flags=re.MULTILINE))


def test_results_lead_to_the_steps_that_use_them(outlook: Outlook) -> None:
    text = plan_graph.dot(outlook)
    at = {step.name: f"step{number}" for number, step in enumerate(outlook.plan.steps)}
    expected = {("runtime", "tree"), ("tree", "install"), ("payload", "install"), ("install", "customise")}
    expected |= {("customise", "convert")}
    found = edges(text)
    assert {(at[a], at[b]) for a, b in expected} <= found
    last = "verify" if outlook.checks else at["convert"]
    assert (last, "image") in found
    assert {after for before, after in found if before.startswith("inputs")} <= set(at.values())


def test_a_long_list_of_inputs_is_cut(outlook: Outlook) -> None:
    inputs = {f"operation {at}, reset-hostname": "x" for at in range(1, 31)}
    plan = replace(outlook.plan, customise=replace(outlook.plan.customise, inputs=inputs))
    text = plan_graph.dot(replace(outlook, plan=plan))
    assert r"operation 8, reset-hostname\l… and 22 more\l" in text
    assert "operation 9" not in text


def hostile(outlook: Outlook) -> Outlook:
    install = replace(outlook.plan.install, what=BAD, inputs={**outlook.plan.install.inputs, BAD: "1"})
    plan = replace(outlook.plan, install=install)
    return replace(outlook, plan=plan, to_run={"install": BAD})


def test_hostile_texts_are_only_texts(outlook: Outlook) -> None:
    picture = plan_graph.picture(hostile(outlook))
    root = ET.fromstring(picture)
    assert not list(root.iter(tag("script")))
    assert not list(root.iter(tag("a")))
    assert len(nodes(root)) == len(nodes(ET.fromstring(plan_graph.picture(outlook))))
    drawn = texts(root).replace(" ", "").replace("\xa0", "")
    shown = 'x"];evil[label=<b>&lt;</b>]\\N\\G\\n\\x1b]0;t\\x07\\u202e</text><script>alert(1)</script>&amp;'
    assert drawn.count(shown) == 3  # what it is, why it runs, and one of its inputs
    for text in (picture, plan_graph.dot(hostile(outlook))):
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_the_command_writes_both_files(tmp_path: Path) -> None:
    done = ran("graph", "web", "--plot", "plan.svg", "--plot", "plan.dot")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == ["plan.svg", "plan.dot"]
    assert ET.parse(tmp_path / "plan.svg").getroot().tag == tag("svg")
    text = (tmp_path / "plan.dot").read_text()
    assert text.startswith("digraph plan {")
    assert ran("graph", "web").output == text  # without a file, DOT is printed


def test_a_recipe_with_several_images() -> None:
    error = ran("graph", "shop").exception
    assert isinstance(error, UsageError)
    assert "shop-s, shop-l" in str(error.hint)
    assert ran("graph", "shop-l").exit_code == 0


def test_an_unknown_kind_of_file(tmp_path: Path) -> None:
    done = ran("graph", "web", "--plot", "plan.png")
    assert done.exit_code == 2
    assert "does not end with .svg or .dot" in done.output
    assert not (tmp_path / "plan.png").exists()


def test_a_folder_that_does_not_exist() -> None:
    error = ran("graph", "web", "--plot", "nowhere/plan.dot").exception
    assert isinstance(error, HostError)
    assert error.message == "cannot write nowhere/plan.dot: No such file or directory"


def test_without_the_program_dot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """DOT needs only the package."""
    dot = Path(str(shutil.which("dot")))
    (tmp_path / "bin").mkdir()
    for program in dot.parent.iterdir():
        if program.name != "dot":
            (tmp_path / "bin" / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    error = ran("graph", "web", "--plot", "plan.svg").exception
    assert isinstance(error, HostError)
    assert "apt-get install graphviz" in str(error.hint)
    assert ran("graph", "web").exit_code == 0


@pytest.mark.parametrize("words", [("graph", "web"), ("graph", "web", "--plot", "x.svg")])
def test_without_the_package(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optional, "import_module", _missing)
    error = ran(*words).exception
    assert isinstance(error, HostError)
    assert "needs the Python package graphviz" in error.message
    assert "pip install 'imagebuild[pictures]'" in str(error.hint)


def _missing(name: str) -> Any:
    raise ImportError(f"No module named {name!r}")
