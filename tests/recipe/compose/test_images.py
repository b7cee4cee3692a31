"""Files with any content are either recipes or refused with a file and a line."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from projects import OS, image, project

from imagebuild.errors import RecipeError
from imagebuild.recipe.compose.images import compose
from imagebuild.recipe.load import checked_all, load_all
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.schema.document import Document

WORDS = st.sampled_from([
    "append", "remove", "include", "exclude", "type", "default", "choices", "text", "a", "b", "a.yaml", "${a}", "${",
    "$${a}",
    "name", "variables", "matrix", "extends", "packages", "vim",
])  # fmt: skip
SCALAR = st.none() | st.booleans() | st.integers(-1, 20) | WORDS
ANY = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=10
)
TOP = st.sampled_from(["extends", "variables", "matrix", "packages", "operations", "network", "name", "description"])


@given(st.dictionaries(TOP, ANY), st.dictionaries(TOP, ANY))
def test_any_values(own: dict[str, Any], more: dict[str, Any]) -> None:
    raw = {"name": "n", "os": {"family": "debian", "version": 13, "codename": "trixie"}, "packages": ["vim"], **own}
    raw.pop("extends", None)
    with suppress(RecipeError):
        composed = compose(Document.of("r.yaml", raw), Path("r.yaml"), ())
        checked_all(composed.images())
    with suppress(RecipeError):
        compose(Document.of("r.yaml", {**raw, **more}), Path("r.yaml"), ())


@given(st.text(st.sampled_from("extndsmarixv: {}[]-\n\"'${}&*!|>,#~01"), max_size=40), st.sampled_from(["a", "b"]))
def test_any_text_of_a_file(tmp_path: Path, text: str, which: str) -> None:
    files = {"a.yaml": f"extends: b.yaml\nname: a\n{OS}", "b.yaml": "packages: [vim]\n"}
    files[f"{which}.yaml"] += text
    recipes = project(tmp_path, files)
    with suppress(RecipeError):
        load_all(recipes / "a.yaml", search=[recipes])


def test_composing_leaves_the_base_as_it_was(tmp_path: Path) -> None:
    base = f"{OS}packages: [vim]\n"
    first = image(tmp_path, {"b.yaml": base, "a.yaml": "extends: b.yaml\nname: a\npackages: {append: [tree]}\n"})
    second = image(tmp_path, {"a.yaml": "extends: b.yaml\nname: a\npackages: {append: [curl]}\n"})
    assert (first.packages, second.packages) == (("vim", "tree"), ("vim", "curl"))


def test_the_composition_keys_are_not_in_the_model() -> None:
    assert not set(Recipe.BESIDE) & set(Recipe.model_fields)
