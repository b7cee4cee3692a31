"""The table of agents: every row does what it describes, and has a source."""

from __future__ import annotations

import re

import pytest

from imagebuild.customise import agents, registry
from imagebuild.customise.agents import Agent
from imagebuild.customise.runner import apply_one
from tests.operations.memory import MemoryDisk, Node, with_folders

every_agent = pytest.mark.parametrize("agent", agents.table(), ids=lambda agent: agent.product)


def path_of(pattern: str) -> str:
    """A path that a shell pattern matches."""
    return pattern.replace("*", "x")


@every_agent
def test_a_row_removes_what_it_lists_and_reports_what_it_keeps(agent: Agent) -> None:
    gone = [path_of(pattern) for pattern in agent.remove]
    kept = [path_of(pattern) for pattern in agent.keep]
    disk = MemoryDisk(with_folders({path: Node("file", 0o600, b"x") for path in (*gone, *kept)}))
    result = apply_one(disk, registry.call("reset-agents"))
    assert [path for path in gone if path in disk.tree] == []
    assert [path for path in kept if path not in disk.tree] == []
    assert {change.path for change in result.changes} == set(gone)
    assert {change.path for change in result.left} == set(kept)
    assert all(agent.product in change.what for change in (*result.changes, *result.left))


@every_agent
def test_a_row_has_something_to_do_and_a_source(agent: Agent) -> None:
    assert agent.remove or agent.lines or agent.keys or agent.keep
    assert agent.renewed != "never" or not agent.remove, "what is removed must be created again"
    assert all(re.match(r"https://|Debian package ", source) for source in agent.source)


def test_no_path_is_in_two_rows_nor_in_another_operation() -> None:
    rows = [pattern for agent in agents.table() for pattern in (*agent.remove, *agent.keep)]
    assert sorted(rows) == sorted(set(rows))
    disk = MemoryDisk(with_folders({path_of(pattern): Node("file", 0o600, b"x") for pattern in rows}))
    others = [name for name in registry.TEMPLATE if name != "reset-agents"]
    also = [(name, apply_one(disk, registry.call(name)).changes) for name in others]
    # Caches are the exception: all of /var/cache is removed in the end, whatever it belongs to.
    twice = [(name, one.path) for name, changes in also for one in changes if one.carried]
    assert [(name, path) for name, path in twice if (name, path[:11]) != ("clean-temporary-files", "/var/cache/")] == []


def test_the_table_is_part_of_the_operations_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr("imagebuild.fingerprint.code", lambda *places: seen.extend(places) or "x")
    registry.code_digest("reset-agents")
    assert seen == ["customise/operations/reset_agents.py", "customise/operations/reset_agents.yaml"]


def test_scrub_reports_what_it_left(capsys: pytest.CaptureFixture[str]) -> None:
    from imagebuild.cli.scrub import _show
    from imagebuild.schema.customised import CustomiseResult

    disk = MemoryDisk(with_folders({"/etc/nebula/host.key": Node("file", 0o600, b"x")}))
    _show(CustomiseResult((apply_one(disk, registry.call("reset-agents")),), {}), in_full=False)
    assert "left: /etc/nebula/host.key: not renewed: Nebula; " in capsys.readouterr().out
