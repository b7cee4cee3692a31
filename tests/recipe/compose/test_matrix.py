"""A matrix: which images it yields, what they are called, and which problems are reported."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import OS, images, problems_in, project

from imagebuild.errors import UsageError
from imagebuild.recipe import compose
from imagebuild.recipe.load import load

WHOLE = """\
extends: base.yaml
matrix:
  version: [12, 13]
  flavour:
    minimal: {}
    server: {packages: {append: [nginx]}, variables: {role: web}}
  exclude: [{version: 12, flavour: server}]
  include: [{version: 14, flavour: minimal}]
name: debian-${version}-${flavour}
description: Debian ${version} for ${role}
"""
BASE = """\
os: {family: debian, version: "${version}", codename: trixie}
variables: {role: {type: text, choices: [any, web], default: any}}
packages: [vim]
"""


def names(folder: Path, matrix: str, more: str = "", **given: str) -> list[str]:
    text = f"name: n\n{OS}{more}matrix:\n{matrix}"
    return [recipe.name for recipe in images(folder, {"a.yaml": text}, **given)]


def test_a_complete_matrix(tmp_path: Path) -> None:
    made = images(tmp_path, {"base.yaml": BASE, "a.yaml": WHOLE})
    assert [(one.name, one.os.version, one.packages, one.description) for one in made] == [
        ("debian-12-minimal", "12", ("vim",), "Debian 12 for any"),
        ("debian-13-minimal", "13", ("vim",), "Debian 13 for any"),
        ("debian-13-server", "13", ("vim", "nginx"), "Debian 13 for web"),
        ("debian-14-minimal", "14", ("vim",), "Debian 14 for any"),
    ]
    assert made[2].variables == {"role": "web", "version": 13, "flavour": "server"}
    assert made[2].place(("packages", 1)).value == 6


@pytest.mark.parametrize(
    ("matrix", "found"),
    [
        ("  a: [1, x, true, 3.10]\n", "n-1 n-x n-true n-3.10"),
        ("  a: [x, y]\n  b: [1, 2]\n", "n-x-1 n-x-2 n-y-1 n-y-2"),
        ("  a: {x: , y: {}}\n", "n-x n-y"),
        ("  a: {12: {description: x}, true: {}}\n", "n-12 n-true"),
        ("  a: [x]\n  b: [1, 2]\n  exclude: [{b: 1}]\n", "n-x-2"),
        ("  a: [x, y]\n  b: [1, 2]\n  exclude: [{a: x, b: 1}, {a: y, b: 2}]\n", "n-x-2 n-y-1"),
        ("  a: [x]\n  b: [1]\n  include: [{b: 7, a: z}]\n", "n-x-1 n-z-7"),
        ("  a: [x, y]\n  exclude: [{a: x}]\n  include: [{a: x}]\n", "n-y n-x"),
        ("  a: [x]\n  include:\n  exclude: []\n", "n-x"),
    ],
)  # fmt: skip
def test_combinations(tmp_path: Path, matrix: str, found: str) -> None:
    assert " ".join(names(tmp_path, matrix)) == found


def test_without_a_matrix_there_is_one_image(tmp_path: Path) -> None:
    files = {"b.yaml": f"{OS}matrix: {{a: [1, 2]}}\n", "a.yaml": "extends: b.yaml\nname: n\nmatrix:\n"}
    assert [one.name for one in images(tmp_path, files)] == ["n"]


@pytest.mark.parametrize(
    ("base", "own", "found"),
    [
        ("{a: [x, y]}", "{b: [1]}", "n-x-1 n-y-1"),
        ("{a: [x, y]}", "{a: [z]}", "n-z"),
        ("{a: [x, y]}", "{a: {append: [z], remove: [x]}}", "n-y n-z"),
        ("{a: {x: {}, y: {}}}", "{a: {z: {}}}", "n-x n-y n-z"),
        ("{a: [x, y]}", "{a: {z: {}}}", "n-z"),
        ("{a: {append: {}, remove: {}}}", "{a: {z: {}}}", "n-append n-remove n-z"),
        ("{a: [x, y], exclude: [{a: x}]}", "{exclude: {append: [{a: z}]}, a: {append: [z]}}", "n-y"),
    ],
)  # fmt: skip
def test_a_matrix_is_extended(tmp_path: Path, base: str, own: str, found: str) -> None:
    files = {"b.yaml": f"matrix: {base}\n", "a.yaml": f"extends: b.yaml\nname: n\n{OS}matrix: {own}\n"}
    assert " ".join(one.name for one in images(tmp_path, files)) == found


def test_overlays_of_several_files_follow_each_other(tmp_path: Path) -> None:
    files = {
        "b.yaml": f"{OS}packages: [vim]\nmatrix: {{a: {{x: {{packages: {{append: [curl]}}}}}}}}\n",
        "a.yaml": "extends: b.yaml\nname: n\nmatrix: {a: {x: {packages: {append: [tree], remove: [vim]}}}}\n",
    }
    assert [one.packages for one in images(tmp_path, files)] == [("curl", "tree")]


def test_a_later_axis_wins(tmp_path: Path) -> None:
    text = f"name: n\n{OS}matrix: {{a: {{x: {{description: x}}}}, b: {{y: {{description: y}}}}}}\n"
    assert [one.description for one in images(tmp_path, {"a.yaml": text})] == ["y"]


def test_an_axis_is_a_variable_with_its_declaration(tmp_path: Path) -> None:
    more = "variables: {a: {type: text, choices: [x, 7]}}\n"
    made = images(tmp_path, {"a.yaml": f"name: n\n{OS}{more}matrix: {{a: [x, 7]}}\n"})
    assert [one.variables["a"] for one in made] == ["x", "7"]
    assert problems_in(tmp_path, {"a.yaml": f"name: n\n{OS}{more}matrix: {{a: [x, z]}}\n"}) == [
        "a.yaml:4: variables.a: expected 'x' or '7', found 'z' (in image {a: z})"
    ]


@pytest.mark.parametrize(
    ("matrix", "problem"),
    [
        ("  a: 7\n", "a.yaml:5: matrix.a: expected a list of values, or a mapping of values, found 7"),
        ("  a: []\n", "a.yaml:5: matrix.a: an axis needs at least one value"),
        ("  a: {}\n", "a.yaml:5: matrix.a: an axis needs at least one value"),
        ("  a: [x, [y]]\n", "a.yaml:5: matrix.a[1]: expected text, a number or a boolean, found a list"),
        ("  a: [x, ]\n  b: [~]\n", "a.yaml:6: matrix.b[0]: expected text, a number or a boolean, found nothing"),
        ("  a: [x, 1, x]\n", "a.yaml:5: matrix.a[2]: 'x' is listed twice [remove one of the two]"),
        ("  a: {x: 7}\n", "a.yaml:5: matrix.a.x: expected the keys of a recipe that this value changes, found 7"),
        ("  a: {x: {matrix: {}}}\n", "a.yaml:5: matrix.a.x.matrix: matrix is not allowed in an axis"),
        ("  a: {x: {extends: b.yaml}}\n", "a.yaml:5: matrix.a.x.extends: extends is not allowed in an axis"),
        ("  a: {~: {}}\n", "a.yaml:5: matrix.a.~: expected a value of the axis, found '~'"),
        ("  a: [x]\n  exclude: [{a: y}]\n", (
            "a.yaml:6: matrix.exclude[0].a: 'y' is not a value of the axis a "
            "[known: x]"
        )),
        ("  a: [x, y]\n  exclude: [{a: x}, {a: x}, {a: y}]\n",
            "a.yaml:4: matrix: this matrix yields no image [exclude removes every image]"),
        ("  a: [x]\n  exclude: [{ab: y}]\n", (
            "a.yaml:6: matrix.exclude[0].ab: there is no axis 'ab' [did you "
            "mean 'a'?]"
        )),
        ("  a: [x]\n  exclude: [{a: [x]}]\n", (
            "a.yaml:6: matrix.exclude[0].a: expected a value of the axis, "
            "found a list"
        )),
        ("  a: [x]\n  exclude: [x]\n", "a.yaml:6: matrix.exclude[0]: expected a mapping of axes to values, found 'x'"),
        ("  a: [x]\n  exclude: [{}]\n", (
            "a.yaml:6: matrix.exclude[0]: expected a mapping of axes to values, "
            "found a mapping"
        )),
        ("  a: [x]\n  exclude: {a: x}\n", "a.yaml:6: matrix.exclude: expected a list of combinations, found a mapping"),
        ("  a: [x]\n  b: [1]\n  include: [{a: x}]\n", (
            "a.yaml:7: matrix.include[0]: an additional image needs "
            "a value for every axis; missing: b"
        )),
        ("  a: [x]\n  include: [{a: x}]\n", (
            "a.yaml:6: matrix.include[0]: this combination already exists "
            "[remove one of the two]"
        )),
        ("  a: [x]\n  include: [{a: y}, {a: y}]\n", (
            "a.yaml:6: matrix.include[1]: this combination already "
            "exists [remove one of the two]"
        )),
        ("  a: {x: {}}\n  include: [{a: y}]\n", (
            "a.yaml:6: matrix.include[0].a: 'y' is not a value of the axis "
            "a [known: x]"
        )),
        ("  include: [{a: y}]\n", "a.yaml:4: matrix: a matrix needs at least one axis"),
        ("  a: [x y]\n", (
            "a.yaml:1: name: expected a name of letters, digits, '.', '_' and '-' (at most 63, "
            "beginning with a letter or digit), found 'n-x y'"
        )),
        ("  A: [x]\n", (
            "a.yaml:5: variables.A: expected a variable name of lower-case letters, digits and '_', "
            "found 'A'"
        )),
        ("  a: {x: {packages: {remove: [vim]}}, y: {}}\n", (
            "a.yaml:5: packages.remove[0]: 'vim' is not in the "
            "list (in image n-x)"
        )),
        ("  a: {x: {disk: {size: 4}}, y: {}, z: {}}\n", (
            "a.yaml:5: disk.size: expected a size with a unit, "
            "such as 4GiB or 512MiB, found 4; the units are KiB, MiB, GiB and TiB (in image n-x)"
        )),
        ("  a: [x, y]\n  b: {u: {}, v: {disk: {bus: x}}}\n", (
            "a.yaml:6: disk.bus: expected 'virtio', 'scsi', 'sata' or 'ide', found 'x' (in image n-x-v and 1 more)"
        )),
        ("  a: {x: {variables: {a: y}}}\n", (
            "a.yaml:5: variables.a: this is an axis of the matrix, which sets "
            "its values"
        )),
    ],
)  # fmt: skip
def test_what_is_wrong(tmp_path: Path, matrix: str, problem: str) -> None:
    found = [
        text.removesuffix(" [None]") for text in problems_in(tmp_path, {"a.yaml": f"name: n\n{OS}#\nmatrix:\n{matrix}"})
    ]
    assert problem in found


@pytest.mark.parametrize("matrix", ["[a]", "7"])
def test_a_matrix_that_is_not_a_mapping(tmp_path: Path, matrix: str) -> None:
    (problem,) = problems_in(tmp_path, {"a.yaml": f"name: n\n{OS}matrix: {matrix}\n"})
    assert problem.startswith("a.yaml:3: matrix: expected a mapping of axes, found")


def test_images_with_the_same_name_are_reported(tmp_path: Path) -> None:
    text = f"name: n-${{a}}\n{OS}matrix: {{a: [x], b: [1, 2]}}\n"
    (problem,) = problems_in(tmp_path, {"a.yaml": text})
    assert problem == (
        "a.yaml:1: name: two images have the name 'n-x': {a: x, b: 1} and {a: x, b: 2}"
        " [use ${…} of every axis in the name, or of none]"
    )


def test_too_many_images_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    axes = "".join(f"  {name}: [{', '.join(map(str, range(100)))}]\n" for name in "abcdefgh")
    (problem,) = problems_in(tmp_path, {"a.yaml": f"name: n\n{OS}matrix:\n{axes}"})
    assert problem == f"a.yaml:3: matrix: this yields {100**8} images, but at most 10000 are allowed"
    monkeypatch.setattr(compose.images, "MAX_TOTAL", 100)
    (problem,) = problems_in(tmp_path, {"a.yaml": f"name: n\n{OS}matrix: {{a: [{', '.join(map(str, range(50)))}]}}\n"})
    assert "50 images of 6 values each are more than imagebuild accepts" in problem


@pytest.mark.parametrize(
    ("matrix", "problem"),
    [
        ("".join(f"  a{n}: [x]\n" for n in range(17)), "matrix: 17 axes, but at most 16 are allowed"),
        (
            f"  a: [x]\n  exclude: [{'{a: y}, ' * 501}]\n",
            "matrix.exclude: expected at most 500 combinations, found 501",
        ),
    ],
)
def test_a_matrix_has_limits(tmp_path: Path, matrix: str, problem: str) -> None:
    (found,) = problems_in(tmp_path, {"a.yaml": f"name: n\n{OS}matrix:\n{matrix}"})
    assert found.split(": ", 1)[1] == problem


def test_the_command_line_does_not_set_an_axis(tmp_path: Path) -> None:
    (problem,) = problems_in(tmp_path, {"a.yaml": f"name: n\n{OS}matrix: {{a: [x, y]}}\n"}, a="x")
    assert problem.startswith("--var a: variables.a: this variable is an axis of the matrix")


def test_load_needs_exactly_one_image(tmp_path: Path) -> None:
    recipes = project(tmp_path, {"web.yaml": f"name: n\n{OS}matrix: {{a: [x, y]}}\n"})
    with pytest.raises(UsageError, match="web yields 2 images, but exactly one is needed here") as caught:
        load("web", search=[recipes])
    assert caught.value.hint == "name one of them: n-x, n-y"
    assert load("n-y", search=[recipes]).variables == {"a": "y"}
