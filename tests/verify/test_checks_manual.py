"""docs/checks.md is up to date with the registry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from imagebuild.verify import manual, registry


def test_the_page_is_up_to_date(golden: Callable[[Path, str], None]) -> None:
    page = manual.page()
    for name in registry.names():
        assert f"\n## {name}\n" in page
    golden(Path(__file__).parents[2] / "docs" / "checks.md", page)


def test_every_check_and_every_parameter_is_described() -> None:
    for name in registry.names():
        check = registry.get(name)
        assert check.description.endswith("."), name
        assert not check.summary.endswith("."), name
        for parameter, field in check.params.model_fields.items():
            assert field.description, f"{name}: {parameter}"
            assert not field.description.endswith("."), f"{name}: {parameter}"


def test_a_section_shows_defaults_as_they_are_written() -> None:
    shown = manual.section(registry.get("listening-sockets"))
    assert "| `allowed` | `[tcp/22, udp/68, udp/546]` |" in shown
    assert "| `text` | none |" in manual.section(registry.get("script"))
    assert "| `grown` | `false` |" in manual.section(registry.get("root-file-system"))
    assert manual.section(registry.get("shutdown")).count("Acts on the guest last.") == 1
    assert "Acts" not in manual.section(registry.get("selinux"))
