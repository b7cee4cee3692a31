"""The recorded behaviour of pykickstart is that of the installed version; the rules say the same."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pytest
from pykickstart.version import versionMap

from imagebuild.kickstart.rules import later_packages_section, several_install_sources
from scripts import pykickstart_table as made

TABLE: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "pykickstart.json").read_text())
SAMPLE = ("bootloader", "clearpart", "rootpw", "timezone", "url")
CHANGED = "pykickstart behaves differently: run scripts/pykickstart_table.py, read the changes, and check the rules"


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


older = pytest.mark.skipif(
    _number(importlib.metadata.version("pykickstart")) < _number(TABLE["pykickstart"]),
    reason="the table describes a newer pykickstart",
)


@older
@pytest.mark.parametrize("version", made.SYNTAXES)
def test_a_sample_is_what_the_installed_version_does(version: str) -> None:
    table = TABLE[version]
    assert {name: made.options(version, name) for name in SAMPLE} == {
        name: table["options"][name] for name in SAMPLE
    }, CHANGED
    assert made.packages(version) == table["packages"], CHANGED
    assert made.sources(version) == table["sources"], CHANGED
    assert made.includes(version) == table["includes"], CHANGED


@pytest.mark.parametrize("version", made.SYNTAXES)
def test_the_rules_say_what_the_table_says(version: str) -> None:
    table = TABLE[version]
    kept = {option for option, became in table["packages"].items() if became.endswith("kept")}
    assert kept == set(later_packages_section.KEPT) & set(table["packages"])
    for pair, used in table["sources"].items():
        assert used == min(pair.split(", "), key=several_install_sources.ORDER.index)
    assert set(table["includes"].values()) == {"replaced"}


def test_every_syntax_of_the_table_exists() -> None:
    assert set(made.SYNTAXES) <= set(versionMap)
