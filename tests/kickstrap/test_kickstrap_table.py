"""Every command, option and section of pykickstart has an outcome, and docs/kickstrap.md lists it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pykickstart.parser import KickstartParser
from pykickstart.version import makeVersion, versionMap

from imagebuild.kickstrap import reference
from imagebuild.kickstrap.agent.supported import COMMANDS, SECTIONS
from imagebuild.kickstrap.agent.treatment import DONE, NOTED, REFUSED, UNKNOWN, done, noted, refused

PAGE = Path(__file__).parents[2] / "docs" / "kickstrap.md"
OLDEST = {"F": 20, "RHEL": 6}
NOT_IN_THE_OLDEST = {"stratisfs", "stratispool"}
"""Commands that the oldest supported pykickstart does not have."""


def syntaxes() -> Iterator[str]:
    """All syntaxes of pykickstart from the oldest ones on that kickstrap promises to read."""
    for name in versionMap:
        match = re.fullmatch(r"(F|RHEL)(\d+)", name)
        if match and int(match[2]) >= OLDEST[match[1]]:
            yield name


@cache
def blank(syntax: str) -> Any:
    return makeVersion(syntax)


@pytest.mark.parametrize("syntax", sorted(syntaxes()))
def test_every_command_and_option_has_an_outcome(syntax: str) -> None:
    missing = []
    for name, command in blank(syntax).commands.items():
        treatment = COMMANDS.get(name)
        if treatment is None:
            missing.append(name)
            continue
        options = getattr(getattr(command, "op", None), "_option_string_actions", ())
        missing += [f"{name} {option}" for option in options if treatment.of(option) is UNKNOWN]
    assert missing == []


@pytest.mark.parametrize("syntax", sorted(syntaxes()))
def test_every_section_and_option_has_an_outcome(syntax: str) -> None:
    missing = []
    for name, section in KickstartParser(blank(syntax))._sections.items():
        options = section._getParser()._option_string_actions if hasattr(section, "_getParser") else ()
        missing += [name] if name not in SECTIONS else [
            f"{name} {option}" for option in options if SECTIONS[name].of(option) is UNKNOWN
        ]  # fmt: skip
    assert missing == []


def test_the_tables_name_nothing_that_no_syntax_has() -> None:
    handlers = [blank(syntax) for syntax in syntaxes()]
    for name, treatment in COMMANDS.items():
        commands = [handler.commands[name] for handler in handlers if name in handler.commands]
        known = {
            option for command in commands if hasattr(command, "op") for option in command.op._option_string_actions
        }
        assert commands or name in NOT_IN_THE_OLDEST, name
        assert set(treatment.options) <= known, name
    sections = [KickstartParser(handler)._sections for handler in handlers]
    for name, treatment in SECTIONS.items():
        found = [one[name]._getParser() for one in sections if name in one and hasattr(one[name], "_getParser")]
        known = {option for parser in found for option in parser._option_string_actions}
        assert set(treatment.options) <= known, name


def test_whatever_is_noted_or_refused_has_a_reason() -> None:
    for name, treatment in {**COMMANDS, **SECTIONS}.items():
        for outcome in (treatment.itself, *treatment.options.values()):
            assert bool(outcome.why) is (outcome.kind != DONE), name


def test_an_option_has_one_outcome() -> None:
    with pytest.raises(ValueError, match="--size has two outcomes"):
        done("--size --grow", refused={"--thin --size": "no"})
    command = done("--size", noted={"--cost": "no"}, refused={"--thin --pool": "neither"})
    assert (command.named(DONE), command.named(NOTED)) == (["--size"], ["--cost"])
    assert command.named(REFUSED) == ["--pool", "--thin"]
    assert command.of("--new") is UNKNOWN
    assert noted("why").of("--new").kind == NOTED
    assert refused("why").of("--new").kind == REFUSED


def test_the_documented_tables_are_the_programs(golden: Callable[[Path, str], None]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    begin, end = re.search(r"<!-- commands: begin .*? -->\n", page), page.index("<!-- commands: end -->")
    assert begin is not None
    golden(PAGE, page[: begin.end()] + reference.tables() + page[end:])
