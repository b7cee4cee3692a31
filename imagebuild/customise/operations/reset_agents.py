"""Remove what agents and servers keep of this one machine.

Agents of configuration management, monitoring, security and clouds, overlay networks, container engines and databases have ids and
keys of their own, beside the machine id: two clones with the same ones are one machine for whoever they report to. What is made again
when a service starts goes, and so does what makes an agent register again; data of servers stays. What cannot be renewed on a disk is
left and named: it belongs to a cluster, or only a command in the running guest can renew it. The table of all products, with what
becomes of a clone and where that is known from, is ``imagebuild/customise/operations/reset_agents.yaml``.
"""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING

from imagebuild.customise import agents
from imagebuild.customise.operation import NoParams, Phase
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.agents import Agent
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "identity"
Params = NoParams


def apply(guest: Guest, params: NoParams) -> None:
    for agent in agents.table():
        guest.remove(guest.glob(*agent.remove), f"removed: {agent.told}")
        if agent.lines is not None:
            line = re.compile(rf"^(?:{agent.lines.line})(\n|\Z)", re.MULTILINE)
            for path in guest.real_files(*agent.lines.paths):
                _edit(guest, path, agent, partial(line.sub, ""))
        if agent.keys is not None:
            for path in guest.real_files(*agent.keys.paths):
                _edit(guest, path, agent, partial(_without, names=agent.keys.names))
        for path in guest.glob(*agent.keep):
            guest.leave(path, f"not renewed: {agent.told}")


def _edit(guest: Guest, path: str, agent: Agent, change: agents.Change) -> None:
    try:
        guest.edit(path, change, f"removed its identity: {agent.told}")
    except GuestError as error:
        guest.leave(path, f"not renewed: {agent.told}; {error.message}")


def _without(text: str, names: tuple[str, ...]) -> str:
    """A JSON object without some of its members; a text that is none stays."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(content, dict) or not content.keys() & set(names):
        return text
    return json.dumps({key: value for key, value in content.items() if key not in names}, indent=4) + "\n"
