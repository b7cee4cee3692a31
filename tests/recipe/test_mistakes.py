"""The mistakes of people who write their first recipe: each is one problem, which says where it is and
what to write instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagebuild.errors import Problem, RecipeError
from imagebuild.recipe import host_inputs
from imagebuild.recipe.folders import shipped
from imagebuild.recipe.load import load

HERE = Path(__file__).parent / "mistakes"
RECIPES = sorted(HERE.glob("*.yaml"))
FIRST_WORDS = (
    "write ",
    "did you mean ",
    "its keys are ",
    "this key belongs ",
    "this is an operation",
    "indent ",
    "add ",
)
EXAMPLES = ("such as ", "; use {", " corresponds to ", "put it in quotes: ", "such a name has", "declare it: ")


def problems(path: Path) -> Iterator[Problem]:
    try:
        yield from host_inputs.missing(load(path, search=[Path(str(shipped("recipes")))]))
    except RecipeError as error:
        yield from error.problems


def test_there_are_at_least_18() -> None:
    assert len(RECIPES) >= 18


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_mistake_is_one_problem_that_says_what_to_write(path: Path) -> None:
    (problem,) = problems(path)
    assert problem.line is not None
    said = f"{problem.message} {problem.hint or ''}"
    if path.stem not in ("missing-file", "text-and-file"):
        assert (problem.hint or "").startswith(FIRST_WORDS) or any(words in said for words in EXAMPLES), said


def test_the_problems(golden: Callable[[Path, str], None]) -> None:
    lines = []
    for path in RECIPES:
        for problem in problems(path):
            text = (
                str(problem)
                .replace(f"{HERE}/", "")
                .replace(str(HERE), "FOLDER")
                .replace(str(shipped("recipes")), "SHIPPED")
            )
            lines += [text, *([f"    hint: {problem.hint}"] if problem.hint else [])]
    golden(HERE / "expected.txt", "".join(f"{line}\n" for line in lines))
