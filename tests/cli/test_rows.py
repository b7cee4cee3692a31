"""The layout of steps: whatever the width, the names of steps and their times are there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from imagebuild.cli import rows
from imagebuild.cli.lines import RunningStep, minutes
from imagebuild.cli.output import shown

TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("日本語한국어ａ\u0301"), max_size=90).map(
    shown
)
STEP = st.sampled_from(["plan", "runtime", "customise", "publish", "roll back"])
SECONDS = st.floats(0, 90_000)


@given(
    st.lists(st.tuples(TEXT, STEP, TEXT, SECONDS, st.none() | SECONDS, st.none() | st.floats(0, 1)), max_size=6),
    st.integers(30, 220),
    st.integers(2, 9),
    st.sampled_from([rows.UNICODE, rows.ASCII]),
)
def test_running_steps(
    given_steps: list[tuple[str, str, str, float, float | None, float | None]],
    width: int,
    height: int,
    glyphs: rows.Glyphs,
) -> None:
    steps = []
    for recipe, name, detail, seconds, expected, fraction in given_steps:
        step = RunningStep(recipe, name, expected, lambda: 0.0)
        step.update(detail, fraction)
        step.began = -seconds
        steps.append(step)
    found = rows.running(steps, width, height, glyphs)
    assert len(found) <= height
    assert all(cell_len(row) < width for row in found)
    for step, row in zip(steps, found if len(found) == len(steps) else found[:-1], strict=False):
        assert step.name in row
        assert minutes(step.seconds) in row
    if len(found) < len(steps):
        assert f"{len(steps) - len(found) + 1} more" in found[-1]


@given(TEXT, STEP, TEXT, SECONDS, st.integers(30, 220))
def test_ended_steps(recipe: str, name: str, text: str, seconds: float, width: int) -> None:
    first, *others = rows.ended(recipe, name, text, seconds, width)
    assert cell_len(first) <= width
    assert name in first
    assert minutes(seconds) in first
    said = "".join([first, *others]).replace(" ", "")
    assert text.replace(" ", "") in said  # nothing of it is lost


def test_similar_names_stay_different() -> None:
    names = ["debian-13-server-uefi", "debian-13-server-bios"]
    assert [rows.middle(name, 12) for name in names] == ["debian…-uefi", "debian…-bios"]
    assert rows.middle("日本語日本語", 7) == "日本…語"
    assert rows.middle("abc", 2) == "a…"
    assert rows.cut("abc", 0) == ""
