"""Recipes and templates for tests."""

from __future__ import annotations

from pathlib import Path

from imagebuild.errors import RecipeError
from imagebuild.kickstart.check import ParsedKickstart, check
from imagebuild.kickstart.render import LiveimgPayload, PackagesPayload, Payload, Rendered, render
from imagebuild.kickstrap.agent import supported
from imagebuild.recipe.folders import shipped
from imagebuild.recipe.load import validate
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.recipe.secrets import SampleSecrets, Secrets
from imagebuild.recipe.yaml.reader import parse

PACKAGES = PackagesPayload("http://mirror.example/debian", "trixie", ("main",))
LIVEIMG = LiveimgPayload("file:///run/kickstrap/payload", "0123456789abcdef" * 4)
NONCE = "a1b2c3d4e5f60718"
RECIPE = """\
name: small
os: {family: debian, version: 13, codename: trixie}
kickstart: {template: t.ks.j2}
"""


def recipe(more: str = "", base: str = RECIPE) -> Recipe:
    return validate(parse(base + more, "small.yaml"), Path("small.yaml"))


def rendered(folder: Path, template: str | None = None, more: str = "", **others: str) -> Rendered:
    """Render ``template`` as t.ks.j2; ``others`` are templates in the same folder, by name without
    .ks.j2.
    """
    for name, text in {**others, **({} if template is None else {"t": template})}.items():
        (folder / f"{name}.ks.j2").write_text(text)
    return render(recipe(more), payload=PACKAGES, nonce=NONCE, secrets=SampleSecrets(), folders=folders(folder))


def folders(folder: Path) -> tuple[Path, ...]:
    own = shipped("kickstart")
    assert own is not None
    return (folder, own)


def render_shipped(recipe: Recipe, payload: Payload = PACKAGES, secrets: Secrets | None = None) -> Rendered:
    own = shipped("kickstart")
    assert own is not None
    return render(recipe, payload=payload, nonce=NONCE, secrets=secrets or SampleSecrets(), folders=[own])


def checked(kickstart: Rendered) -> ParsedKickstart:
    return check(kickstart, version=supported.KICKSTART_VERSION, supported=supported.check)


def problems(folder: Path, template: str | None, more: str = "", **others: str) -> list[str]:
    """The problems of a template, without its folder; the hint follows in brackets."""
    try:
        checked(rendered(folder, template, more, **others))
    except RecipeError as error:
        texts = [f"{p} [{p.hint}]" if p.hint else str(p) for p in error.problems]
        return [text.replace(f"{folder}/", "") for text in texts]
    return []
