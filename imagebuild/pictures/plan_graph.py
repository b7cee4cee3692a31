"""A plan as a graph: its steps, their inputs, which results are in the store, and why others are not used.

Graphviz lays it out (https://graphviz.org/doc/info/lang.html). The package graphviz writes its language;
its program dot runs in a process of its own, with a time limit.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from imagebuild.build.engine import Outlook
from imagebuild.host.process import run
from imagebuild.pictures import optional, svg
from imagebuild.printable import one_line
from imagebuild.step import Step

_LIMIT = 60.0
"""Seconds for dot, which takes a fraction of one."""
_SHOWN = 8
"""Inputs of a step that are listed."""
_WIDTH = 38
"""Characters of a line in a node."""
_CHECKS, _IMAGE = "verify", "image"
_STYLE = """
.page{fill:#fff}
text{fill:#1f2328;font-family:system-ui,"Segoe UI","DejaVu Sans",Arial,sans-serif}
.cached path,.cached polygon{fill:#dafbe1;stroke:#1a7f37}
.run path,.run polygon{fill:#fff1c2;stroke:#9a6700;stroke-width:2.5}
.inputs polygon,.inputs polyline{fill:#f6f8fa;stroke:#818b98}
.image path{fill:#ddf4ff;stroke:#0969da}
.edge path,.edge polygon{stroke:#59636e}.edge polygon{fill:#59636e}
@media (prefers-color-scheme:dark){
.page{fill:#0d1117}text{fill:#f0f6fc}
.cached path,.cached polygon{fill:#12361f;stroke:#3fb950}
.run path,.run polygon{fill:#453411;stroke:#d29922}
.inputs polygon,.inputs polyline{fill:#161b22;stroke:#9198a1}
.image path{fill:#0c2d6b;stroke:#58a6ff}
.edge path,.edge polygon{stroke:#9198a1}.edge polygon{fill:#9198a1}
}
"""


@dataclass(frozen=True)
class _Node:
    """A node: ``lines`` is its text, ``said`` what somebody hears who does not see it."""

    name: str
    lines: tuple[str, ...]
    kind: str
    shape: str
    said: str


def dot(outlook: Outlook) -> str:
    """The graph in Graphviz's language. Raises HostError if the package graphviz is not installed."""
    graphviz = optional.library("graphviz", "a graph")
    graph = graphviz.Digraph(
        name="plan",
        graph_attr={"rankdir": "LR", "ranksep": "0.45", "nodesep": "0.25", "bgcolor": "transparent", "pad": "0.2"},
        node_attr={
            "fontname": "DejaVu Sans,Arial,sans-serif",
            "fontsize": "11",
            "style": "filled",
            "margin": "0.16,0.1",
        },
        edge_attr={"arrowsize": "0.7"},
    )
    for node in _nodes(outlook):
        fill, line = _COLOURS[node.kind]
        style = "filled,rounded" if node.shape == "box" else "filled"
        graph.node(
            node.name,
            label=_label(graphviz, node.lines),
            shape=node.shape,
            style=f"{style},bold" if node.kind == "run" else style,
            fillcolor=fill,
            color=line,
            **{"class": node.kind},
        )
    for before, after in _edges(outlook):
        graph.edge(before, after, style="dotted" if before.startswith("inputs") else "solid")
    text: str = graph.source
    return text


_COLOURS = {
    "cached": ("#dafbe1", "#1a7f37"),
    "run": ("#fff1c2", "#9a6700"),
    "inputs": ("#f6f8fa", "#818b98"),
    "image": ("#ddf4ff", "#0969da"),
}
"""Fill and line, for what does not read the style sheet. No meaning is in the colour alone."""


def picture(outlook: Outlook) -> str:
    """The graph as SVG. Raises HostError if a package or the program dot is missing, CommandFailed if
    that fails.
    """
    lines: list[str] = []
    hint = "install Graphviz: apt-get install graphviz, or dnf install graphviz; --plot FILE.dot does not need it"
    run(["dot", "-Tsvg"], input=dot(outlook), timeout=_LIMIT, apart=True, on_line=lines.append, hint=hint)
    root = svg.parsed("\n".join(lines))
    said = {node.name: node.said for node in _nodes(outlook)}
    for group in root.iter(svg.tag("g")):
        name = group.find(svg.tag("title"))
        if name is not None and group.get("class", "").startswith("node"):
            name.text = said[str(name.text)]
        elif name is not None:
            group.remove(name)
    left, top, width, height = svg.numbers(root.get("viewBox", "0 0 0 0"))
    root.insert(0, svg.page(width, height, left, top))
    plan = outlook.plan
    steps = ". ".join(node.said for node in _nodes(outlook) if node.kind in ("cached", "run"))
    title = f"The plan of {plan.recipe.name}: {len(plan.steps)} steps, {outlook.cached} cached"
    return svg.finished(root, title=title, description=f"{steps}.", style=_STYLE)


def _nodes(outlook: Outlook) -> Iterator[_Node]:
    fingerprints = {step.fingerprint for step in outlook.plan.steps}
    for at, step in enumerate(outlook.plan.steps):
        why, seconds = outlook.to_run.get(step.name), outlook.expected.get(step.name)
        yield _step(f"step{at}", step.name, step.what, why, seconds)
        names = [name for name, value in step.inputs.items() if value not in fingerprints]
        if names:
            yield _inputs(f"inputs{at}", step, names)
    if outlook.checks:
        count = len(outlook.checks)
        what = f"{count} check{'s' * (count > 1)} in booted clones"
        yield _step(_CHECKS, "verify", what, "not verified yet", outlook.expected_checking)
    made = "will be made" if outlook.artifact is None else outlook.artifact.version
    yield _Node(_IMAGE, _wrapped([one_line(outlook.plan.recipe.name), made]), "image", "cylinder", f"the image: {made}")


def _step(node: str, name: str, what: str, why: str | None, seconds: float | None) -> _Node:
    state = f"to run: {why}" if why else "cached"
    took = f", about {seconds / 60:.1f} min" if seconds is not None else ""
    lines = _wrapped([name, what, f"{state}{took}"])
    return _Node(node, lines, "run" if why else "cached", "box", one_line(f"{name} ({what}): {state}{took}"))


def _inputs(node: str, step: Step, names: Sequence[str]) -> _Node:
    shown = list(names[:_SHOWN]) if len(names) > _SHOWN + 1 else list(names)
    rest = [f"… and {len(names) - len(shown)} more"] if len(shown) < len(names) else []
    said = one_line(f"inputs of {step.name}: {', '.join(names)}")
    return _Node(node, _wrapped([f"inputs of {step.name}:", *shown, *rest]), "inputs", "note", said)


def _edges(outlook: Outlook) -> Iterator[tuple[str, str]]:
    """From each result to the steps that use it, and from inputs to their step."""
    plan = outlook.plan
    node = {step.fingerprint: f"step{at}" for at, step in enumerate(plan.steps)}
    found: dict[tuple[str, str], None] = {}
    for chain in plan.preparation.chains:
        for before, after in zip(chain, (*chain[1:], plan.install), strict=True):
            found[node[before.fingerprint], node[after.fingerprint]] = None
    added = [(step, plan.customise) for step in plan.after]
    for before, after in ((plan.install, plan.customise), *added, (plan.customise, plan.convert)):
        found[node[before.fingerprint], node[after.fingerprint]] = None
    for step in plan.steps:
        for value in step.inputs.values():
            if value in node and value != step.fingerprint:
                found[node[value], node[step.fingerprint]] = None
    last = node[plan.convert.fingerprint]
    if outlook.checks:
        found[last, _CHECKS] = None
        last = _CHECKS
    found[last, _IMAGE] = None
    yield from found
    for one in _nodes(outlook):
        if one.kind == "inputs":
            yield one.name, one.name.replace("inputs", "step")


def _wrapped(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(part for line in lines for part in textwrap.wrap(one_line(line), _WIDTH) or [""])


def _label(graphviz: Any, lines: Sequence[str]) -> str:
    r"""The label of a node: no escape of Graphviz (``\N``), no entity and no markup is left in the lines."""
    plain = [line.replace("&", "&amp;").replace("\\", "\\\\") for line in lines]
    label: str = graphviz.nohtml("".join(f"{line}\\l" for line in plain))
    return label
