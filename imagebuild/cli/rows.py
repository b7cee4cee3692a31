"""How steps are laid out on a terminal: whatever its width, the name of a step and its time are there.

Widths are in cells, of which some characters take two (https://www.unicode.org/reports/tr11/).
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from imagebuild.cli.lines import QUIET, RunningStep, clock, minutes

_NAME, _TEXT, _CLOCK = 9, 48, 6
"""The usual widths of a step's name, of what it does, and of its time."""
_BAR, _WITH_BAR = 20, 100
"""The width of a bar, and that of a terminal with room for it."""
_WITH_EXPECTED, _WITH_PERCENT = 72, 50
_LEAST = 20


@dataclass(frozen=True)
class Glyphs:
    """What is drawn with, as the terminal's encoding has it."""

    ellipsis: str = "…"
    done: str = "━"
    open: str = "·"


UNICODE = Glyphs()
ASCII = Glyphs("...", "#", ".")


def running(steps: Sequence[RunningStep], width: int, height: int, glyphs: Glyphs = UNICODE) -> list[str]:
    """A row for each running step, none wider than ``width``; if they are too many for ``height``, the
    last row counts the others.
    """
    width = max(width - 1, _LEAST)  # a terminal may wrap after its last column
    most = max(height - 1, 1)
    hidden = steps[most - 1 :] if len(steps) > most else ()
    visible = steps[: len(steps) - len(hidden)]
    expected = width >= _WITH_EXPECTED
    times = [clock(step.seconds, step.expected if expected else None) for step in visible]
    name = max([_NAME, *(cell_len(step.name) for step in visible)])
    time = max([_CLOCK if width >= _WITH_PERCENT else 1, *map(len, times)])
    tail = _BAR + 2 if width >= _WITH_BAR else 6 if width >= _WITH_PERCENT else 0
    room = width - name - time - tail - 5
    recipe = max(0, min(max((cell_len(step.recipe) for step in visible), default=0), max(room // 2, room - _TEXT)))
    rows = []
    for step, spent in zip(visible, times, strict=True):
        label = f"{padded(middle(step.recipe, recipe, glyphs), recipe)}  {padded(step.name, name)}"
        doing = padded(cut(_doing(step), max(0, room - recipe), glyphs), max(0, room - recipe))
        rows.append(f"{label} {spent:>{time}}  {doing}{_tail(step, tail, glyphs)}".rstrip())
    if hidden:
        rows.append(cut(f"{glyphs.ellipsis} and {len(hidden)} more", width, glyphs))
    return rows


def _doing(step: RunningStep) -> str:
    if step.quiet < QUIET:
        return step.detail
    return f"quiet {minutes(step.quiet)}: {step.blocked_by}"


def _tail(step: RunningStep, room: int, glyphs: Glyphs) -> str:
    """The bar, or the percentage where there is no room for one."""
    if step.fraction is None or not room:
        return ""
    fraction = min(1.0, max(0.0, step.fraction))
    if room < _BAR:
        return f" {fraction:>{room - 1}.0%}"
    done = round(fraction * _BAR)
    return f"  {glyphs.done * done}{glyphs.open * (_BAR - done)}"


def ended(recipe: str, name: str, text: str, seconds: float, width: int, glyphs: Glyphs = UNICODE) -> list[str]:
    """What remains of a step: one line if there is room, else its text is wrapped below; nothing of
    the text is lost. The time comes before the text, so that it stays visible when a terminal cuts its
    lines later.
    """
    end = f"{padded(name, _NAME)} {minutes(seconds):>{_CLOCK}}"
    whole = f"{recipe}  {end}  {text}".rstrip()
    if cell_len(whole) <= width:
        return [whole]
    before = middle(recipe, width - cell_len(end) - 2, glyphs)
    first = f"{before}  {end}" if before else f"{cut(name, max(width - _CLOCK - 1, 0), glyphs)} {minutes(seconds)}"
    return [first, *(_wrapped(f"  {text}", width) if text else [])]


def note(recipe: str, text: str, width: int) -> list[str]:
    """What does not belong to a step; further lines are indented."""
    whole = f"{recipe}  {text}"
    return [whole] if cell_len(whole) <= width else _wrapped(whole, width)


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of whole words where that is possible: names and paths are not broken at hyphens."""
    return textwrap.wrap(
        text, max(width - 1, _LEAST), subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
    )


def padded(text: str, width: int) -> str:
    """``text`` with spaces up to ``width`` cells."""
    return text + " " * (width - cell_len(text))


def cut(text: str, width: int, glyphs: Glyphs = UNICODE) -> str:
    """``text`` in ``width`` cells, without its end if it is too long."""
    if cell_len(text) <= width:
        return text
    if width < len(glyphs.ellipsis):
        return ""
    return set_cell_size(text, width - len(glyphs.ellipsis)) + glyphs.ellipsis


def middle(text: str, width: int, glyphs: Glyphs = UNICODE) -> str:
    """``text`` in ``width`` cells, without its middle if it is too long: the names of similar images
    differ at their ends.
    """
    if cell_len(text) <= width:
        return text
    keep = width - len(glyphs.ellipsis)
    if keep < 2:
        return cut(text, width, glyphs)
    end = text[len(text) - keep // 2 :]
    while cell_len(end) > keep // 2:
        end = end[1:]
    return set_cell_size(text, keep - cell_len(end)) + glyphs.ellipsis + end
