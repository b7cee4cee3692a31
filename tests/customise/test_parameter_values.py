"""Values of parameters as recipes write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild.customise import registry
from imagebuild.recipe.load import validate
from imagebuild.recipe.yaml.reader import parse
from imagebuild.schema import parameters

RECIPE = (
    "name: small\nos: {family: debian, version: 13, codename: trixie}\noperations:\n  - write-file: {path: /a, text: x"
)


@pytest.mark.parametrize("written", ["0640", '"0640"', "'640'", "640", "0o640"])
def test_permission_bits_are_octal_with_quotes_or_without(written: str) -> None:
    recipe = validate(parse(f"{RECIPE}, mode: {written}}}\n", "r.yaml"), Path("r.yaml"))
    assert recipe.operations[0].params.model_dump()["mode"] == 0o640


@pytest.mark.parametrize(
    ("operation", "parameter", "default"),
    [
        ("write-file", "mode", '"0644"'),
        ("write-file", "path", None),
        ("copy-in", "mode", ""),
        ("run-command", "network", "false"),
        ("run-script", "arguments", ""),
        ("renew-disk-identifiers", "kinds", "[file systems, partitions, volumes]"),
        ("set-sysctl", "name", "90-image"),
    ],
)
def test_a_default_as_people_write_it(operation: str, parameter: str, default: str | None) -> None:
    field = registry.params_model(operation).model_fields[parameter]
    assert parameters.default_of(field) == default
