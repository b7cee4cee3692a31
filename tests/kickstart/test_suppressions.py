"""Suppressions in the recipe and in comments: they need a reason, and must be used."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kickstarts import NONCE, RECIPE, recipe, rendered

from imagebuild.errors import RecipeError
from imagebuild.kickstart.check import CheckReport, lint
from imagebuild.kickstart.rendered import Rendered
from imagebuild.kickstart.rule import KickstartTarget
from imagebuild.kickstart.suppressions import suppressions, without_comments

QUIET = """\
{% import "macros.ks.j2" as imagebuild %}
lang C
keyboard us
timezone UTC
rootpw --lock
poweroff
zerombr
clearpart --all
part / --size=1
{{ imagebuild.success(nonce) }}
"""


def report(folder: Path, template: str, more: str = "", **others: str) -> CheckReport:
    made = recipe(more)
    ignore = {name: made.place(("lint", "ignore", name)) for name in made.lint.ignore}
    return lint(
        rendered(folder, template, more, **others), version="RHEL9", target=KickstartTarget(nonce=NONCE), ignore=ignore
    )


def found_in(folder: Path, template: str, more: str = "", **others: str) -> list[str]:
    findings = report(folder, template, more, **others).findings
    return [f"{p} [{p.rule}]".replace(f"{folder}/", "") for p in findings]


def test_a_kickstart_that_follows_all_rules_has_no_findings(tmp_path: Path) -> None:
    assert found_in(tmp_path, QUIET) == []


def test_findings_of_rules_are_reported_at_the_templates_lines(tmp_path: Path) -> None:
    macro = "{% macro m() %}\nlang C\nrootpw secret\n{% endmacro %}\n"
    template = QUIET + "part swap --size=1\n{% import 'b.ks.j2' as b %}\n{{ b.m() }}\n"
    assert found_in(tmp_path, template, b=macro) == [
        "t.ks.j2:11: part makes swap [swap]",
        (
            "b.ks.j2:3: warning: rootpw is given again: --lock of an earlier line no longer counts, used by "
            "t.ks.j2:13 [given-again]"
        ),
        "b.ks.j2:3: rootpw holds a password in plain text, used by t.ks.j2:13 [plaintext-password]",
    ]


def test_syntax_errors_and_rules_are_reported_together(tmp_path: Path) -> None:
    assert found_in(tmp_path, QUIET + "lnag C\npart swap --size=1\n") == [
        "t.ks.j2:11: Unknown command: lnag [syntax]",
        "t.ks.j2:12: part makes swap [swap]",
    ]


def test_a_warning_is_not_an_error(tmp_path: Path) -> None:
    found = report(tmp_path, QUIET.replace("{{", "%post\necho\n%end\n{{", 1))
    assert (found.errors, [problem.severity for problem in found.findings]) == ([], ["warning"])
    assert found.parsed is not None
    assert str(found.findings[0]).replace(f"{tmp_path}/", "").startswith("t.ks.j2:10: warning: %post without")


@pytest.mark.parametrize(
    "lines",
    [
        "part swap --size=1 # imagebuild: ignore swap: the database needs it\n",
        "# imagebuild: ignore swap: the database needs it\npart swap --size=1\n",
        "  #imagebuild:ignore swap:the database needs it\n# and more\npart swap --size=1\n",
        (
            "# imagebuild: ignore swap: so\n# imagebuild: ignore plaintext-password: and so\npart swap --size=1 "
            "--encrypted --passphrase=x\n"
        ),
        "%packages # nothing\n%end\n# imagebuild: ignore swap: a\npart swap --size=1\n",
    ],
)
def test_a_comment_suppresses_findings_on_its_line(tmp_path: Path, lines: str) -> None:
    assert found_in(tmp_path, QUIET + lines) == []


def test_a_comment_in_a_script(tmp_path: Path) -> None:
    script = "# imagebuild: ignore post-without-erroronfail: best effort\n%post\necho\n%end\n"
    assert found_in(tmp_path, QUIET.replace("{{", script + "{{", 1)) == []


def test_a_comment_before_all_commands_applies_to_missing_commands(tmp_path: Path) -> None:
    without = QUIET.replace("poweroff\n", "")
    assert found_in(tmp_path, "# imagebuild: ignore reboot: the host cuts the power\n" + without) == []
    assert [
        line.rpartition("[")[2] for line in found_in(tmp_path, without + "# imagebuild: ignore reboot: late\n")
    ] == [
        "reboot]",
        "silence]",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "part swap --size=1 # imagebuild: ignore swpa: x",
            "t.ks.j2:11: cannot suppress 'swpa': there is no such rule [silence]",
        ),
        ("part swap --size=1 # imagebuild: ignore swap", "t.ks.j2:11: the suppression has no reason [silence]"),
        ("part swap --size=1 # imagebuild: ignore swap:  ", "t.ks.j2:11: the suppression has no reason [silence]"),
        ("part swap --size=1 # imagebuild: ignore", "t.ks.j2:11: cannot suppress '': there is no such rule [silence]"),
    ],
)
def test_an_invalid_suppression_is_an_error_and_suppresses_nothing(tmp_path: Path, line: str, message: str) -> None:
    assert found_in(tmp_path, QUIET + line + "\n") == ["t.ks.j2:11: part makes swap [swap]", message]


def test_an_unused_suppression_is_a_warning(tmp_path: Path) -> None:
    found = report(
        tmp_path, QUIET + "# imagebuild: ignore swap: x\nuser --name=a\n", "lint: {ignore: {reboot: why not}}\n"
    )
    assert [(p.severity, p.line, p.rule) for p in found.findings] == [
        ("warning", 11, "silence"),
        ("warning", 4, "silence"),
    ]
    assert found.used == frozenset()


def test_the_recipe_suppresses_a_rule_everywhere(tmp_path: Path) -> None:
    found = report(tmp_path, QUIET + "part swap --size=1\nautopart\n", "lint:\n  ignore:\n    swap: it is a test\n")
    assert "swap" not in {problem.rule for problem in found.findings}
    assert found.used == {("small.yaml", 6, "swap")}


def test_syntax_cannot_be_suppressed(tmp_path: Path) -> None:
    assert found_in(tmp_path, QUIET + "lnag # imagebuild: ignore syntax: no\n") == [
        "t.ks.j2:11: Unknown command: lnag [syntax]",
        "t.ks.j2:11: cannot suppress 'syntax': there is no such rule [silence]",
    ]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("lint: {ignore: {swpa: x}}\n", "small.yaml:4: lint.ignore.swpa: there is no rule 'swpa'"),
        ("lint:\n  ignore:\n    swap:\n", "small.yaml:6: lint.ignore.swap: a suppressed rule needs a reason"),
        ("lint: {ignore: {swap: ' '}}\n", "small.yaml:4: lint.ignore.swap: a suppressed rule needs a reason"),
        ("lint: {ignore: {swap: [a]}}\n", "small.yaml:4: lint.ignore.swap: expected text, found a list"),
        ("lint: {ignore: [swap]}\n", "small.yaml:4: lint.ignore: expected a mapping of rules to reasons, found a list"),
    ],
)
def test_a_suppression_in_a_recipe_needs_a_known_rule_and_a_reason(more: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe(more, RECIPE)
    assert str(caught.value) == message


@given(
    st.lists(
        st.sampled_from(
            ["# c", "lang C", "", "%packages", "%end", " # x", "%post", "part / # imagebuild: ignore swap: r"]
        )
    )
)
def test_removing_comments_keeps_the_line_numbers(parts: list[str]) -> None:
    text = "\n".join(parts)
    assert [bool(line) for line in without_comments(text).split("\n")] == [bool(line) for line in text.split("\n")]
    assert len(list(suppressions(text))) == sum("imagebuild" in part for part in parts)


def test_findings_in_a_kickstart_without_a_recipe(tmp_path: Path) -> None:
    found = lint(Rendered("part swap\n", tmp_path / "x.ks"), version="RHEL9", target=KickstartTarget())
    assert {problem.rule for problem in found.errors} == {"interactive"}
    assert {"swap", "reboot"} <= {problem.rule for problem in found.findings if problem.severity == "warning"}
