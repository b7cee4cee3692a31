"""The tables of docs/kickstrap.md, which are generated from the installer's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from imagebuild.kickstrap.agent import supported
from imagebuild.kickstrap.agent.treatment import DONE, NOTED, REFUSED, Treatment


def tables() -> str:
    """Commands and sections: what is carried out, what is noted, and what is refused, as Markdown."""
    carried = ["| command or section | options that are carried out |", "|---|---|"]
    rest: dict[str, list[str]] = {
        NOTED: ["| noted | why it has no effect on Debian |", "|---|---|"],
        REFUSED: ["| refused | what to do instead |", "|---|---|"],
    }
    for table in (supported.COMMANDS, supported.SECTIONS):
        for name, treatment in sorted(table.items()):
            if treatment.itself.kind == DONE:
                options = " ".join(f"`{option}`" for option in treatment.named(DONE))
                carried.append(f"| `{name}` | {options} |")
        for kind, lines in rest.items():
            lines += [f"| {what} | {why} |" for what, why in _reasons(table, kind)]
    return "\n".join(["", *carried, "", *rest[NOTED], "", *rest[REFUSED], ""]) + "\n"


def _reasons(table: Mapping[str, Treatment], kind: str) -> Iterator[tuple[str, str]]:
    """What has this outcome, and why; what has the same reason together."""
    whole: dict[str, list[str]] = {}
    for name, treatment in sorted(table.items()):
        if treatment.itself.kind == kind:
            whole.setdefault(treatment.itself.why, []).append(f"`{name}`")
    yield from ((" ".join(names), why) for why, names in whole.items())
    for name, treatment in sorted(table.items()):
        options: dict[str, list[str]] = {}
        for option in treatment.named(kind):
            options.setdefault(treatment.options[option].why, []).append(f"`{option}`")
        yield from ((f"`{name}` {' '.join(names)}", why) for why, names in options.items())
