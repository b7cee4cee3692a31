"""``render --recipe`` prints an equivalent recipe and shows where each value comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from projects import OS, image, images, project
from test_matrix import BASE, WHOLE

from imagebuild.recipe.catalogue import catalogue
from imagebuild.recipe.folders import recipe_folders
from imagebuild.recipe.load import checked, load, validate
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.recipe.secrets import RealSecrets
from imagebuild.recipe.yaml.reader import parse
from imagebuild.recipe.yaml.written import written
from imagebuild.schema.document import Document
from recipes import recipe

EVERYTHING = """\
variables: {site: berlin, n: 007, yes: true, several: [a, "true", 3], literal: "${x}", quoted: "12"}
description: "at ${site}: $${literal} # 'x' \\\\ é ${n}"
packages: [vim, "${site}"]
network:
  bootproto: static
  address: 192.0.2.10
  netmask: 255.255.255.0
  nameservers: [192.0.2.53, "2001:db8::53"]
root: {password: {env: PW}, ssh_keys: [{file: key.pub}, {env: KEY}]}
operations: [trim-free-space, install-packages: {packages: [vim, tree]}]
installer: {components: [main]}
disk:
kernel_arguments: []
"""


def again(made: Recipe) -> Recipe:
    return validate(parse(written(made), str(made.source)), made.source)


def test_it_shows_where_each_value_comes_from(tmp_path: Path) -> None:
    files = {
        "base/b.yaml": f"{OS}packages: [vim, curl]\n",
        "a.yaml": "extends: base/b.yaml\nname: a\npackages: {append: ['${x}']}\nvariables: {x: tree}\n",
    }
    made = image(tmp_path, files)
    recipes = tmp_path / "recipes"
    assert (
        written(made).replace(f"{recipes}/", "")
        == """\
os:
  family: debian  # base/b.yaml:1
  version: 13  # base/b.yaml:1
  codename: trixie  # base/b.yaml:1
packages:
  - vim  # base/b.yaml:2
  - curl  # base/b.yaml:2
  - tree  # a.yaml:3
name: a  # a.yaml:2
variables:
  x: tree  # a.yaml:4
"""
    )


def test_everything_comes_back() -> None:
    made = recipe(EVERYTHING)
    assert made.description == "at berlin: ${literal} # 'x' \\ é 007"
    assert again(made).model_dump() == made.model_dump()


def test_every_image_of_a_matrix_comes_back(tmp_path: Path) -> None:
    for made in images(tmp_path, {"base.yaml": BASE, "a.yaml": WHOLE}):
        assert again(made).model_dump() == made.model_dump()
        assert written(again(made)).count("\n") == written(made).count("\n")


def test_every_shipped_recipe_comes_back() -> None:
    for one in catalogue(recipe_folders()):
        assert one.image is not None
        made = checked(one.image)
        assert again(made).model_dump() == made.model_dump()


def test_paths_lead_to_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "base/b.yaml": (
            f"{OS}root: {{password: {{file: ../../keys/password}}, ssh_keys: [{{file: /etc/key}}, {{file: ~/key}}]}}\n"
        ),
        "a.yaml": "extends: base/b.yaml\nname: a\n",
    }
    made = image(tmp_path, files)
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/password").write_text("moonshine\n")
    text = written(made)
    assert "file: ../keys/password " in text
    assert "file: /etc/key " in text
    assert "~/key" in text
    project(tmp_path, {"copy.yaml": text})
    monkeypatch.chdir("/")
    copied = load(tmp_path / "recipes/copy.yaml")
    assert copied.root.password is not None
    assert RealSecrets().password_hash(copied.root.password, copied.place(("root", "password"))).startswith("$6$")


TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp", "Cn"]), max_size=20) | st.text(
    st.sampled_from("abn ${}#:-'\"\\,.~&*!|>%@`?=0123[]"), max_size=12
)


@given(
    TEXT,
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True), TEXT | st.integers() | st.booleans() | st.lists(TEXT)
    ),
)
def test_any_text_comes_back(description: str, values: dict[str, Any]) -> None:
    os = {"family": "debian", "version": "13", "codename": "trixie"}
    raw = {"name": "n", "os": os, "description": description.replace("${", "$${"), "variables": values}
    made = validate(Document.of("n.yaml", raw), Path("n.yaml"))
    assert made.description == description
    assert again(made).model_dump() == made.model_dump()


def test_files_of_operations_are_relative_to_the_recipe(tmp_path: Path) -> None:
    base = OS + "operations:\n  - copy-in: {source: files/a, path: /a}\n  - write-file: {file: b, path: /b}\n"
    made = image(tmp_path, {"base/b.yaml": base, "a.yaml": "extends: base/b.yaml\nname: a\n"})
    text = written(made)
    assert "source: base/files/a  #" in text
    assert "file: base/b  #" in text
