"""The JSON Schema accepts what the loader accepts, and rejects the mistakes that a schema can
express.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from imagebuild.recipe import schema
from imagebuild.recipe.folders import shipped
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.recipe.yaml.reader import parse, read
from recipes import MINIMAL, problems

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(Path(str(shipped("recipes"))).rglob("*.yaml"))
EXAMPLES = re.findall(
    r"```yaml\n(.*?)```", (ROOT / "docs/recipes.md").read_text() + (ROOT / "README.md").read_text(), re.DOTALL
)


@cache
def validator() -> Draft7Validator:
    made = json.loads(schema.text())
    Draft7Validator.check_schema(made)
    return Draft7Validator(made)


def refused(text: str) -> list[str]:
    """Where the schema refuses a recipe, as ``disk.size``."""
    found = validator().iter_errors(parse(text, "r.yaml").data)
    return sorted(".".join(str(step) for step in error.absolute_path) for error in found)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_recipes(path: Path) -> None:
    assert [error.message for error in validator().iter_errors(read(path).data)] == []


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text.partition(":")[0])
def test_examples_of_the_documentation(text: str) -> None:
    assert refused(text) == []


@pytest.mark.parametrize(
    "more",
    [
        "disk: {size: 1.5GiB}",
        "disk:",
        "packages:\n  # - vim",
        "vm: {timeout: 1h30m, vcpus: 0x4}",
        "network: {hostname: 007}",
        "description: 3.10",
        "packages: {append: [vim], remove: [nano]}",
        "extends: base/debian.yaml",
        "extends: [a.yaml, ../b.yml]",
        "disk: {size: '${size}', bus: '${bus}'}\nvm: {vcpus: '${n}'}",
        "variables: {site: berlin, n: 3, on: true, l: [a, b], tier: {type: text, choices: [a, b], default: a}}",
        (
            "matrix: {version: [12, 13], flavour: {minimal: {}, server: {packages: {append: [nginx]}}}, exclude: "
            "[{version: 12}]}"
        ),
        "operations: [trim-free-space, remove-udev-rules:, install-packages: {packages: [vim]}]",
        "operations: {append: [trim-free-space]}",
        "output: {format: raw.zst}",
        "output: {format: [qcow2, vmdk], compression: zlib}",
        "output: {format: {append: [vhdx]}}",
        "root: {password: {env: PW}, ssh_keys: [{file: k.pub}, ssh-ed25519 AAAA x]}",
    ],
)
def test_accepted(more: str) -> None:
    assert refused(f"{MINIMAL}{more}\n") == []


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ("nework: {}", ""),
        ("vm: {memry: 1GiB}", "vm"),
        ("disk: {size: 4}", "disk.size"),
        ("disk: {size: 4G}", "disk.size"),
        ("disk: {bus: virtoi}", "disk.bus"),
        ("vm: {vcpus: two}", "vm.vcpus"),
        ("vm: {timeout: 1800}", "vm.timeout"),
        ("packages: vim", "packages"),
        ("output: {format: qcow}", "output.format"),
        ("output: {format: [qcow2, qcow2]}", "output.format"),
        ("packages: {append: [vim], dele: [nano]}", "packages"),
        ("operations: [remove-udev-rule]", "operations"),
        ("operations: [remove-udev-rules: {x: 1}]", "operations"),
        ("root: {password: geheim}", "root.password"),
        ("matrix: {flavour: {server: {pakages: []}}}", "matrix.flavour"),
        ("variables: {a: {typ: text}}", "variables.a"),
        ("variables: {A: 1}", "variables"),
    ],
)
def test_rejected(more: str, where: str) -> None:
    assert refused(f"{MINIMAL}{more}\n") == [where]
    if "variables" not in more and "matrix" not in more and "dele" not in more:
        assert problems(f"{more}\n")  # the loader refuses it too


def test_every_key_is_described() -> None:
    made = schema.schema()
    sections = {"recipe": made, **made["definitions"]}
    missing = [
        f"{name}.{key}"
        for name, section in sections.items()
        for key, value in section.get("properties", {}).items()
        if not value.get("description") and "allOf" not in value  # otherwise the section describes it
    ]
    assert not missing
    assert set(Recipe.model_fields) | {"extends", "variables", "matrix"} == set(made["properties"])


def test_defaults_are_written_as_in_a_recipe() -> None:
    def defaults(node: Any) -> list[Any]:
        if isinstance(node, dict):
            own = [node] if "default" in node and "description" in node else []
            return own + [found for value in node.values() for found in defaults(value)]
        return [found for value in node for found in defaults(value)] if isinstance(node, list) else []

    definitions = schema.schema()["definitions"]
    made = [node for section in definitions.values() for node in defaults(section)]
    assert made
    for node in made:
        described = {**{key: value for key, value in node.items() if key != "default"}, "definitions": definitions}
        assert list(Draft7Validator(described).iter_errors(node["default"])) == []
