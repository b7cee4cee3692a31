"""A kickstart without what does not change an installation: then recipes that differ only in that share
an installed disk.

The machine gets this text, so that what is compared is what was used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from imagebuild.kickstart.rendered import Origin, Rendered

_VERSION = "#version"
"""The comment that names a syntax is none for pykickstart."""
_Line = tuple[int, str]
"""The index of a line in the kickstart, and the line."""


def plain(rendered: Rendered, keep: Callable[[str], bool] | None = None) -> Rendered:
    """``rendered`` without comments and empty lines outside of scripts.

    With ``keep``, an installation from a root archive, the packages of which are settled: those of
    %packages that ``keep`` accepts are listed once each, and sorted. Lines keep their origins.
    """
    chosen = list(_lines(rendered.text.splitlines(keepends=True), keep))

    def trace() -> tuple[Origin | None, ...]:
        origins = rendered.line_origins
        return tuple(origins[index] if index < len(origins) else None for index, _ in chosen)

    return replace(rendered, text="".join(line for _, line in chosen), trace=trace)


def _lines(lines: list[str], keep: Callable[[str], bool] | None) -> Iterator[_Line]:
    section = ""
    listed: dict[str, _Line] = {}
    for index, line in enumerate(lines):
        bare = line.strip()
        if line.startswith("%"):
            if bare == "%end" and section == "%packages":
                yield from (listed[name] for name in sorted(listed))
                listed = {}
            section = "" if bare == "%end" or line.startswith(_SINGLE) else line.split()[0]
            yield index, line
        elif section not in ("", "%packages"):
            yield index, line  # a script, to its last byte
        elif not bare or (bare.startswith("#") and not bare.lower().replace(" ", "").startswith(_VERSION)):
            continue
        elif section and keep is not None:
            name = bare.partition("#")[0].strip()
            if keep(name):
                listed.setdefault(name, (index, f"{name}\n"))
        else:
            yield index, line
    yield from listed.values()  # a section without an end


_SINGLE = ("%include", "%ksappend")
"""Lines that look like a section, and have no end."""
