"""``verify:`` in a recipe: its forms, and its mistakes with their lines."""

from __future__ import annotations

import pytest

from recipes import problems, recipe


@pytest.mark.parametrize(
    ("text", "enabled"), [("true", True), ("false", False), ("", False), ("{}", True), ("{enabled: false}", False)]
)
def test_the_short_form(text: str, enabled: bool) -> None:
    assert recipe(f"verify: {text}\n").verify.enabled == enabled


def test_checks_are_names_or_names_with_parameters() -> None:
    section = recipe("verify: {checks: [swap-off, {time-to-login: {limit: 5}}, {selinux: }], without: [sshd]}\n").verify
    assert [call.name for call in section.checks] == ["swap-off", "time-to-login", "selinux"]
    assert section.checks[1].params.model_dump()["limit"] == 5
    assert section.without == ("sshd",)
    assert section.model_dump(mode="json")["checks"][0] == {"swap-off": {}}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("verify: {checks: [swap-of]}", 3, ("verify.checks[0]", "unknown check 'swap-of'", "swap-off")),
        ("verify:\n  checks:\n  - swap-off\n  - qqq", 6, ("unknown check 'qqq'", "imagebuild checks list")),
        ("verify:\n  checks:\n  - time-to-login:\n      limit: 0", 6, ("verify.checks[0].time-to-login.limit",)),
        ("verify:\n  checks:\n  - time-to-login:\n      limt: 5", 6, ("limt", "limit")),
        ("verify:\n  checks:\n  - time-to-login: 5", 5, ("expected a mapping of parameters",)),
        ("verify:\n  checks:\n  - {swap-off: {}, sshd: {}}", 5, ("expected a check's name",)),
        ("verify:\n  checks:\n  - 5", 5, ("expected a check's name",)),
        ("verify:\n  checks:\n  - [swap-off]", 5, ("expected a check's name",)),
        ("verify:\n  checks:\n  - script: {}", 5, ("expected exactly one of text and file",)),
        ("verify:\n  without:\n  - sshd\n  - sshdd", 6, ("verify.without[1]", "unknown check 'sshdd'", "sshd")),
        ("verify:\n  without:\n  - {sshd: {}}", 5, ("verify.without[0]",)),
        ("verify: 5", 3, ("expected true, false or a mapping of keys",)),
        ("verify: {check: [sshd]}", 3, ("check", "checks")),
    ],
)
def test_mistakes(text: str, line: int, words: tuple[str, ...]) -> None:
    (problem,) = problems(f"{text}\n")
    assert problem.startswith(f"small.yaml:{line}: ")
    for word in words:
        assert word in problem


def test_all_mistakes_are_reported_together() -> None:
    assert len(problems("verify: {checks: [a, {b: {}}, {time-to-login: {x: 1}}], without: [c]}\n")) == 4
