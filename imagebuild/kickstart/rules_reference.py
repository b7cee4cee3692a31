"""The part of docs/lint.md that is written from the rules' own docstrings."""

from __future__ import annotations

from imagebuild.kickstart import rule as rules


def table() -> str:
    """Every rule in a Markdown table, and below it each with its reason and how to mend it."""
    lines = ["| rule | severity | what it finds |", "|---|---|---|"]
    lines += [f"| [`{one.name}`](#{one.name}) | {one.severity} | {one.summary}. |" for one in rules.every()]
    for one in rules.every():
        lines += ["", f"### {one.name}", "", f"{one.summary}.", "", one.description]
    lines += ["", "Three names belong to no rule, and cannot be silenced:", "", "| name | what it is |", "|---|---|"]
    lines += [f"| `{name}` | {text} |" for name, text in rules.OWN.items()]
    return "\n".join(lines) + "\n"
