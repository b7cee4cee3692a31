"""Silences: in the recipe and in comments, always with a reason, and only where they serve."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kickstarts import NONCE, RECIPE, recipe, rendered

from imagebuild.errors import RecipeError
from imagebuild.kickstart.check import CheckReport, lint
from imagebuild.kickstart.render import Rendered
from imagebuild.kickstart.rule import KickstartTarget
from imagebuild.kickstart.suppressions import silences, without_comments

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


def told(folder: Path, template: str, more: str = "", **others: str) -> list[str]:
    findings = report(folder, template, more, **others).findings
    return [f"{p} [{p.rule}]".replace(f"{folder}/", "") for p in findings]


def test_what_the_house_likes_has_no_findings(tmp_path: Path) -> None:
    assert told(tmp_path, QUIET) == []


def test_findings_of_rules_are_told_at_the_templates_lines(tmp_path: Path) -> None:
    macro = "{% macro m() %}\nlang C\nrootpw secret\n{% endmacro %}\n"
    template = QUIET + "part swap --size=1\n{% import 'b.ks.j2' as b %}\n{{ b.m() }}\n"
    assert told(tmp_path, template, b=macro) == [
        "t.ks.j2:11: part makes swap [swap]",
        "b.ks.j2:3: rootpw holds a password in plain text, used by t.ks.j2:13 [plaintext-password]",
    ]


def test_syntax_and_rules_are_told_together(tmp_path: Path) -> None:
    assert told(tmp_path, QUIET + "lnag C\npart swap --size=1\n") == [
        "t.ks.j2:11: Unknown command: lnag [syntax]",
        "t.ks.j2:12: part makes swap [swap]",
    ]


def test_a_warning_hinders_nothing(tmp_path: Path) -> None:
    found = report(tmp_path, QUIET.replace("{{", "%post\necho\n%end\n{{", 1))
    assert (found.errors, [problem.severity for problem in found.findings]) == ([], ["warning"])
    assert found.parsed is not None
    assert str(found.findings[0]).replace(f"{tmp_path}/", "").startswith("t.ks.j2:10: warning: %post without")


@pytest.mark.parametrize(
    "lines",
    [
        "part swap --size=1 # imagebuild: ignore swap: the database wants it\n",
        "# imagebuild: ignore swap: the database wants it\npart swap --size=1\n",
        "  #imagebuild:ignore swap:the database wants it\n# and more\npart swap --size=1\n",
        "# imagebuild: ignore swap: so\n# imagebuild: ignore plaintext-password: and so\npart swap --size=1 --encrypted --passphrase=x\n",
        "%packages # nothing\n%end\n# imagebuild: ignore swap: a\npart swap --size=1\n",
    ],
)
def test_a_comment_silences_its_line(tmp_path: Path, lines: str) -> None:
    assert told(tmp_path, QUIET + lines) == []


def test_a_comment_in_a_script(tmp_path: Path) -> None:
    script = "# imagebuild: ignore post-without-erroronfail: best effort\n%post\necho\n%end\n"
    assert told(tmp_path, QUIET.replace("{{", script + "{{", 1)) == []


def test_a_comment_before_all_commands_counts_for_what_is_missing(tmp_path: Path) -> None:
    without = QUIET.replace("poweroff\n", "")
    assert told(tmp_path, "# imagebuild: ignore reboot: the host cuts the power\n" + without) == []
    assert [line.rpartition("[")[2] for line in told(tmp_path, without + "# imagebuild: ignore reboot: late\n")] == [
        "reboot]",
        "silence]",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("part swap --size=1 # imagebuild: ignore swpa: x", "t.ks.j2:11: there is no rule 'swpa' to silence [silence]"),
        ("part swap --size=1 # imagebuild: ignore swap", "t.ks.j2:11: a silence needs a reason [silence]"),
        ("part swap --size=1 # imagebuild: ignore swap:  ", "t.ks.j2:11: a silence needs a reason [silence]"),
        ("part swap --size=1 # imagebuild: ignore", "t.ks.j2:11: there is no rule '' to silence [silence]"),
    ],
)
def test_a_wrong_silence_is_an_error_and_silences_nothing(tmp_path: Path, line: str, message: str) -> None:
    assert told(tmp_path, QUIET + line + "\n") == ["t.ks.j2:11: part makes swap [swap]", message]


def test_a_silence_that_silences_nothing_is_a_warning(tmp_path: Path) -> None:
    found = report(
        tmp_path, QUIET + "# imagebuild: ignore swap: x\nuser --name=a\n", "lint: {ignore: {reboot: why not}}\n"
    )
    assert [(p.severity, p.line, p.rule) for p in found.findings] == [
        ("warning", 11, "silence"),
        ("warning", 4, "silence"),
    ]
    assert found.used == frozenset()


def test_the_recipe_silences_a_rule_everywhere(tmp_path: Path) -> None:
    found = report(tmp_path, QUIET + "part swap --size=1\nautopart\n", "lint:\n  ignore:\n    swap: it is a test\n")
    assert "swap" not in {problem.rule for problem in found.findings}
    assert found.used == {("small.yaml", 6, "swap")}


def test_syntax_cannot_be_silenced(tmp_path: Path) -> None:
    assert told(tmp_path, QUIET + "lnag # imagebuild: ignore syntax: no\n") == [
        "t.ks.j2:11: Unknown command: lnag [syntax]",
        "t.ks.j2:11: there is no rule 'syntax' to silence [silence]",
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
def test_a_recipe_silences_with_a_name_and_a_reason(more: str, message: str) -> None:
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
def test_comments_taken_out_leave_the_lines_where_they_are(parts: list[str]) -> None:
    text = "\n".join(parts)
    assert [bool(line) for line in without_comments(text).split("\n")] == [bool(line) for line in text.split("\n")]
    assert len(list(silences(text))) == sum("imagebuild" in part for part in parts)


def test_a_kickstart_of_no_recipe_is_told_by_its_own_lines(tmp_path: Path) -> None:
    found = lint(Rendered("part swap\n", tmp_path / "x.ks"), version="RHEL9", target=KickstartTarget())
    assert {problem.rule for problem in found.errors} >= {"swap", "reboot", "interactive"}
