"""Remove the identity that agents and servers store for this machine.

Agents for configuration management, monitoring, security and clouds, overlay networks, container
engines and databases have ids and keys of their own, in addition to the machine id. Two clones with
the same ones look like one machine to the service that they report to. The operation removes what
is created again when a service starts, and what makes an agent register again; data of servers
stays. What cannot be renewed on a disk is left and reported: it belongs to a cluster, or only a
command in the running guest can renew it. ``imagebuild/customise/operations/reset_agents.yaml``
lists all products, what happens in a clone, and the sources.
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
        guest.remove(guest.glob(*agent.remove), f"removed: {agent.description}")
        if agent.lines is not None:
            line = re.compile(rf"^(?:{agent.lines.line})(\n|\Z)", re.MULTILINE)
            for path in guest.real_files(*agent.lines.paths):
                _edit(guest, path, agent, partial(line.sub, ""))
        if agent.keys is not None:
            for path in guest.real_files(*agent.keys.paths):
                _edit(guest, path, agent, partial(_without, names=agent.keys.names))
        for path in guest.glob(*agent.keep):
            guest.leave(path, f"not renewed: {agent.description}")


def _edit(guest: Guest, path: str, agent: Agent, change: agents.Change) -> None:
    try:
        guest.edit(path, change, f"removed its identity: {agent.description}")
    except GuestError as error:
        guest.leave(path, f"not renewed: {agent.description}; {error.message}")


def _without(text: str, names: tuple[str, ...]) -> str:
    """Remove members from a JSON object. A text that is not a JSON object is returned unchanged."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(content, dict) or not content.keys() & set(names):
        return text
    return json.dumps({key: value for key, value in content.items() if key not in names}, indent=4) + "\n"
