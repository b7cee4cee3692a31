"""Each line of a kickstart is mapped to the template line that it came from."""

from __future__ import annotations

from pathlib import Path

import pytest
from kickstarts import recipe, render_shipped, rendered

from imagebuild.kickstart.rendered import Rendered
from imagebuild.kickstart.source_map import origins
from imagebuild.recipe.load import load


def places(kickstart: Rendered) -> list[str]:
    """``text < file:line < callers`` for each line."""
    found = []
    for text, origin in zip(kickstart.text.splitlines(), kickstart.line_origins, strict=True):
        assert origin is not None
        calls = "".join(f" < {Path(file).name.removesuffix('.ks.j2')}:{line}" for file, line in origin.via)
        found.append(f"{text} < {Path(origin.file).name.removesuffix('.ks.j2')}:{origin.line}{calls}")
    return found


PACKAGES = "packages: [aa, bb]\n"


def test_plain_lines_comments_and_conditions(tmp_path: Path) -> None:
    template = "{# two\nlines #}\none\n{% if false %}\nno\n{% else %}\nyes\n{% endif %}\n\nlast\n"
    assert places(rendered(tmp_path, template)) == ["one < t:3", "yes < t:7", " < t:9", "last < t:10"]


def test_loops(tmp_path: Path) -> None:
    template = "{% for p in packages %}\n# item\n{{ p }}\n  x{{ p }}\n{% endfor %}\nend"
    assert places(rendered(tmp_path, template, PACKAGES)) == [
        "# item < t:2", "aa < t:3", "  xaa < t:4", "# item < t:2", "bb < t:3", "  xbb < t:4", "end < t:6",
    ]  # fmt: skip


def test_macros_and_includes_name_their_callers(tmp_path: Path) -> None:
    template = "{% import 'm.ks.j2' as m %}\nx\n{{ m.outer() }}\n{% include 'i.ks.j2' %}\ny\n"
    macros = "{% macro inner() %}\n1\n2\n{% endmacro %}\n{% macro outer() %}\n0\n{{ inner() }}\n{% endmacro %}\n"
    assert places(rendered(tmp_path, template, m=macros, i="i1\n{{ name }}\n")) == [
        "x < t:2", "0 < m:6 < t:3", "1 < m:2 < m:7 < t:3", "2 < m:3 < m:7 < t:3", " < m:7 < t:3", " < t:3",
        "i1 < i:1 < t:4", "small < i:2 < t:4", "y < t:5",
    ]  # fmt: skip


def test_a_macro_within_a_line_and_across_lines(tmp_path: Path) -> None:
    template = "{% macro m() %}\n one\ntwo {% endmacro %}\nlang {{ m() }} end\nnext\n"
    assert places(rendered(tmp_path, template)) == ["lang  one < t:4", "two  end < t:3 < t:4", "next < t:5"]


def test_call_blocks_and_set_blocks(tmp_path: Path) -> None:
    template = "{% macro m() %}\na\n{{ caller() }}\nb\n{% endmacro %}\n{% call m() %}\ninner\n{% endcall %}\nlast\n"
    assert places(rendered(tmp_path, template)) == [
        "a < t:2 < t:6", "inner < t:7 < t:3 < t:6", " < t:3 < t:6", "b < t:4 < t:6", "last < t:9",
    ]  # fmt: skip
    template = "{% set s %}\nset1\nset2\n{% endset %}\nx\n{{ s }}\n"
    assert places(rendered(tmp_path, template)) == ["x < t:5", "set1 < t:2 < t:6", "set2 < t:3 < t:6", " < t:6"]


def test_whitespace_control(tmp_path: Path) -> None:
    template = "a\n\n{%- if true %}\nb\n{%- endif -%}\n\n\nc {{- name -}} \n d\ne\n"
    assert places(rendered(tmp_path, template)) == ["abcsmalld < t:1", "e < t:10"]


def test_inheritance(tmp_path: Path) -> None:
    base = "top\n{% block b %}\nbase\n{% endblock %}\nbottom\n"
    template = "{% extends 'base.ks.j2' %}\n{% block b %}\nchild\n{{ super() }}\n{% endblock %}\n"
    assert places(rendered(tmp_path, template, base=base)) == [
        "top < base:1", "child < t:3", "base < base:3 < t:4", " < t:4", "bottom < base:5",
    ]  # fmt: skip


def test_raw_blocks(tmp_path: Path) -> None:
    assert places(rendered(tmp_path, "a\n{% raw %}\n{{ b }}\nc\n{% endraw %}\nd\n")) == [
        "a < t:1", " < t:2", "{{ b }} < t:3", "c < t:4", "d < t:6",
    ]  # fmt: skip


def test_every_line_of_the_shipped_template_is_known() -> None:
    assert all(places(render_shipped(load("debian-13"))))


@pytest.mark.parametrize(
    "template",
    [
        "{% macro m() %}x{% endmacro %}{% if m() == 'x' %}\nsame\n{% else %}\nother\n{% endif %}\n",
        "{% set s %}text{% endset %}\n{{ s | length }}\n",
    ],
)
def test_a_template_that_inspects_its_own_text_has_no_wrong_origins(tmp_path: Path, template: str) -> None:
    kickstart = rendered(tmp_path, template)
    assert "\ue000" not in kickstart.text
    assert set(kickstart.line_origins) == {None}
    problem = kickstart.problem(1, "message")
    assert (problem.line, problem.where) == (None, "line 1 of the kickstart")


def test_lines_are_counted_as_pykickstart_counts_them() -> None:
    assert origins("a\n\nb", "a\n\nb") == (None, None, None)
    assert origins("", "") == ()


def test_values_are_not_taken_for_markers(tmp_path: Path) -> None:
    more = 'description: "\ue002\ue0011:x\ue003"\n'
    assert set(rendered(tmp_path, "lang {{ description }}\n", more).line_origins) == {None}
    assert recipe(more).description.startswith("\ue002")
