"""Variables: their types, what sets them, and ``${name}`` in a recipe's text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from projects import OS, image, problems_in

from imagebuild.recipe.compose.references import References
from imagebuild.schema.document import Document, Mark, Value
from recipes import problems, recipe

DECLARED = """\
variables:
  tier: {type: text, choices: [gold, silver], default: silver, description: how much it costs}
  cpus: {type: number, default: 2}
  gui: {type: boolean, default: false}
  extra: {type: list, default: [vim]}
  site:
    type: text
"""


@pytest.mark.parametrize(
    ("more", "values"),
    [
        ("variables: {site: berlin}", {"site": "berlin"}),
        ("variables: {n: 3, yes: true, several: [x, 13], written: '3', fraction: 3.10}",
         {"n": 3, "yes": True, "several": ("x", "13"), "written": "3", "fraction": "3.10"}),
        ("variables: {a: {default: 3}, b: {type: text, default: 3.10}, c: {type: text, default: 007}}",
            {"a": 3, "b": "3.10", "c": "007"}),
        ("variables: {a: {choices: [x, y], default: y}}", {"a": "y"}),
        ("variables:", {}),
    ],
)  # fmt: skip
def test_values_have_types(more: str, values: dict[str, object]) -> None:
    found = recipe(f"{more}\n").variables
    assert found == values
    assert [type(value) for value in found.values()] == [type(value) for value in values.values()]


def test_a_later_value_sets_a_declared_one(tmp_path: Path) -> None:
    own = f"extends: b.yaml\nname: a\n{OS}variables: {{site: 13, tier: gold, gui: true, extra: {{append: [tree]}}}}\n"
    made = image(tmp_path, {"b.yaml": DECLARED, "a.yaml": own})
    assert made.variables == {"tier": "gold", "cpus": 2, "gui": True, "extra": ("vim", "tree"), "site": "13"}


def test_a_value_that_was_set_earlier_stays_when_it_is_declared(tmp_path: Path) -> None:
    files = {"v.yaml": "variables: {tier: gold, site: x}\n", "b.yaml": DECLARED}
    assert image(tmp_path, {**files, "a.yaml": f"extends: [v, b]\nname: a\n{OS}"}).variables["tier"] == "gold"


def test_a_declaration_can_be_changed_in_parts(tmp_path: Path) -> None:
    own = (
        f"extends: b.yaml\nname: a\n{OS}variables: {{site: x, tier: {{choices: {{append: [bronze]}}, "
        "default: bronze}}\n"
    )
    assert image(tmp_path, {"b.yaml": DECLARED, "a.yaml": own}).variables["tier"] == "bronze"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("tier: brass", "a.yaml:5: variables.tier: expected 'gold' or 'silver', found 'brass'"),
        ("tier: gld", "a.yaml:5: variables.tier: expected 'gold' or 'silver', found 'gld' [did you mean 'gold'?]"),
        ("extra: {choices: [vim, tree], default: [tree, vmi]}",
            "a.yaml:5: variables.extra.default: expected 'vim' or 'tree', found 'vmi' [did you mean 'vim'?]"),
        ("extra: {choices: [tree]}", "b.yaml:5: variables.extra.default: expected 'tree', found 'vim'"),
        ("cpus: two", "a.yaml:5: variables.cpus: expected a whole number, found 'two'"),
        ("gui: 1", "a.yaml:5: variables.gui: expected true or false, found 1"),
        ("extra: vim", "a.yaml:5: variables.extra: expected a list of text values, found 'vim'"),
        ("site: [x]", "a.yaml:5: variables.site: expected text, found a list"),
        ("site: ", (
            "b.yaml:6: variables.site: this variable has no value [set it where this file is extended, "
            "or with --var site=…]"
        )),
        ("extra: {remove: [nano]}", "a.yaml:5: variables.extra.remove[0]: 'nano' is not in the list [known: vim]"),
        ("site: {type: txt}", (
            "a.yaml:5: variables.site.type: expected 'text', 'number', 'boolean' or 'list', "
            "found 'txt' [did you mean 'text'?]"
        )),
        ("site: {typ: text}", "a.yaml:5: variables.site.typ: unknown key 'typ' [did you mean 'type'?]"),
        ("cpus: {default: x}", "a.yaml:5: variables.cpus.default: expected a whole number, found 'x'"),
        ("tier: {choices: [gold, 7, true]}", (
            "a.yaml:5: variables.tier.choices[2]: expected text, found the "
            "boolean true"
        )),
        ("tier: {choices: [gold]}", "b.yaml:2: variables.tier.default: expected 'gold', found 'silver'"),
        ("tier: {choices: gold}", (
            "a.yaml:5: variables.tier.choices: expected a list, found 'gold' [write choices: [gold]]"
        )),
        ("new: {description: x}", (
            "a.yaml:5: variables.new: this variable has no value [set it where this file "
            "is extended, or with --var new=…]"
        )),
        ("new: ", (
            "a.yaml:5: variables.new: expected text, a whole number, true, false or a list of text "
            "values, found nothing"
        )),
        ("new: [[x]]", "a.yaml:5: variables.new: expected text, found a list"),
        ("new: [{x: 1}]", "a.yaml:5: variables.new: expected text, found a mapping"),
        ('new: "a\\nb"', "a.yaml:5: variables.new: expected a single line, found text with a line break"),
        ("New: x", (
            "a.yaml:5: variables.New: expected a variable name of lower-case letters, digits and '_', "
            "found 'New'"
        )),
    ],
)  # fmt: skip
def test_what_does_not_fit(tmp_path: Path, line: str, problem: str) -> None:
    site = "" if line.startswith("site") else "\n  site: x"
    own = f"extends: b.yaml\nname: a\n{OS}variables:\n  {line}{site}\n"
    assert problems_in(tmp_path, {"b.yaml": DECLARED, "a.yaml": own}) == [problem]


def test_variables_that_are_not_a_mapping(tmp_path: Path) -> None:
    assert problems("variables: [x]\n") == ["small.yaml:3: variables: expected a mapping of keys, found a list"]


@pytest.mark.parametrize(
    ("text", "hostname"),
    [
        ("${site}", "berlin"), ("web-${site}-${n}", "web-berlin-007"), ("${n}", "007"), ("x-${gui}", "x-true"),
        ("${site}${site}", "berlinberlin"),
    ],
)  # fmt: skip
def test_references_in_text(text: str, hostname: str) -> None:
    more = f"variables: {{site: berlin, n: 007, gui: true}}\nnetwork: {{hostname: '{text}'}}\n"
    assert recipe(more).network.hostname == hostname


def test_a_reference_that_is_the_whole_value_keeps_the_type() -> None:
    more = """\
variables: {cpus: 3, extra: [vim, tree], size: 8GiB, on: true}
vm: {vcpus: "${cpus}"}
disk: {size: "${size}"}
packages: ${extra}
"""
    made = recipe(more)
    assert (made.vm.vcpus.current, made.disk.size, made.packages) == (3, 8 * 1024**3, ("vim", "tree"))
    assert problems(
        "variables: {on: true}\nname: ${on}\n", "os: {family: debian, version: 13, codename: trixie}\n"
    ) == ["small.yaml:3: name: expected text, found the boolean true; quote it if it is meant as text"]


def test_a_literal_reference() -> None:
    assert (
        recipe("description: cost $${site} $$ $ ${x}\nvariables: {x: '${y}'}\n").description == "cost ${site} $$ $ ${y}"
    )


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("description: ${sit}", "small.yaml:3: description: there is no variable 'sit' [did you mean 'site'?]"),
        ("packages:\n  - vim\n  - x-${sit}-${site}", (
            "small.yaml:5: packages[1]: there is no variable 'sit' "
            "[did you mean 'site'?]"
        )),
        ("network: {hostname: '${}'}", (
            "small.yaml:3: network.hostname: expected ${name} with the name of a "
            "variable [a literal ${ is written $${]"
        )),
        ("description: ${a b}", (
            "small.yaml:3: description: expected ${name} with the name of a variable [a "
            "literal ${ is written $${]"
        )),
        ("description: ${site", (
            "small.yaml:3: description: expected ${name} with the name of a variable [a "
            "literal ${ is written $${]"
        )),
        ("description: the ${several}", (
            "small.yaml:3: description: the list several cannot be used inside a "
            "text [use it as the whole value]"
        )),
        ("disk: {size: '${site}'}", (
            "small.yaml:3: disk.size: expected a size with a unit, such as 4GiB or "
            "512MiB, found 'berlin'"
        )),
    ],
)  # fmt: skip
def test_unresolvable_references(more: str, problem: str) -> None:
    assert problems(f"{more}\nvariables: {{site: berlin, several: [x]}}\n") == [problem]


def test_a_variable_without_a_value_is_reported_once() -> None:
    found = problems("variables:\n  site: {type: text}\nnetwork: {hostname: '${site}', device: 'x-${site}'}\n")
    assert [text.split(": ")[:2] for text in found] == [["small.yaml:4", "variables.site"]]


def test_variables_of_the_command_line(tmp_path: Path) -> None:
    files = {"b.yaml": DECLARED, "a.yaml": f"extends: b.yaml\nname: a\n{OS}description: at ${{site}}\n"}
    made = image(tmp_path, files, site="bonn", cpus="4", gui="true", extra="vim,tree", other="x")
    assert made.description == "at bonn"
    assert made.variables == {"tier": "silver", "cpus": 4, "gui": True, "extra": ("vim", "tree"), "site": "bonn"}
    assert image(tmp_path, files, site="13", extra="").variables["site"] == "13"
    assert problems_in(tmp_path, files, site="x", cpus="four", tier="brass", gui="yes") == [
        "--var cpus: variables.cpus: expected a whole number, found 'four'",
        "--var gui: variables.gui: expected true or false, found 'yes'",
        "--var tier: variables.tier: expected 'gold' or 'silver', found 'brass'",
    ]
    assert problems_in(tmp_path, files, site="a\nb")[0].endswith("expected a single line, found text with a line break")


@pytest.mark.parametrize(
    ("variables", "text"),
    [(f"{{x: {'y' * 10_000}}}", "-${x}" * 20_000), ("{x: [" + "a, " * 5000 + "b]}", None)],
    ids=["text", "values"],
)
def test_a_reference_bomb_is_refused(variables: str, text: str | None) -> None:
    more = f"description: '{text}'\n" if text else "packages: [" + "'${x}', " * 5000 + "]\n"
    (problem,) = problems(f"variables: {variables}\n{more}")
    assert "with its variables replaced, the recipe has more than" in problem


@given(st.text(st.sampled_from("$ {}ab_1\\"), max_size=12), st.text(max_size=5))
def test_any_text_is_replaced_or_refused(text: str, value: str) -> None:
    mark = Mark("r.yaml", 1, 1)
    references = References({"a": Value(value, mark), "b": Value([], mark, ())})
    made = references.replaced(Value.scalar(text, mark))
    if not references.problems and made.data != []:
        assert made.data == text.replace("$${", "\0").replace("${a}", value).replace("\0", "${") or "$$" in text
    assert Document("r.yaml", made).mark(()) == mark
