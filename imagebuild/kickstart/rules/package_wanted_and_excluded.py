"""A package, group or environment is both selected and excluded.

Which of the two wins depends on the installer, on the order, and on what else needs it. Keep one of
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imagebuild.errors import Severity
from imagebuild.kickstart.parsed import Kickstart, KickstartSection, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "error"


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """The later of the two lines."""
    sections = [one for one in kickstart.sections if one.name == "%packages"]
    if not any(line.lstrip().startswith("-") for one in sections for _, line in one.body):
        return  # nothing is excluded
    seen: dict[str, tuple[int, bool]] = {}
    for line, name, selected in _entries(sections):
        _, was_selected = seen.setdefault(name, (line, selected))
        if was_selected != selected:
            first, second = ("selected", "excluded") if was_selected else ("excluded", "selected")
            yield Said(line, f"{name} is {second}, but {first} before", "keep one of them")


def _entries(sections: Sequence[KickstartSection]) -> Iterator[tuple[int, str, bool]]:
    """Line number, name, and whether it is selected, for every line of %packages."""
    for section in sections:
        for number, text in section.body:
            words = text.partition("#")[0].split()
            if words and not words[0].startswith(("--", "%")):
                excluded = words[0].startswith("-")
                # A group may follow its sign after a space: @ core.
                name = " ".join(word for word in words if not word.startswith("--")).removeprefix("-")
                yield number, "@" + name[1:].strip() if name.startswith("@") else name, not excluded
