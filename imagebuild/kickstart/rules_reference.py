"""The part of docs/lint.md that is generated from the rules' docstrings."""

from __future__ import annotations

from imagebuild.kickstart import rule as rules


def table() -> str:
    """All rules as a Markdown table, followed by a section for each with its reason and its fix."""
    lines = ["| rule | severity | what it finds |", "|---|---|---|"]
    lines += [f"| [`{one.name}`](#{one.name}) | {one.severity} | {one.summary}. |" for one in rules.described()]
    for one in rules.described():
        lines += ["", f"### {one.name}", "", f"{one.summary}.", "", one.description]
    lines += ["", "Four names belong to no rule and cannot be suppressed:", "", "| name | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {text} |" for name, text in rules.OWN.items()]
    return "\n".join(lines) + "\n"
