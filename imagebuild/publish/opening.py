"""From what the command line selects to places that can be worked on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial

from imagebuild.project.model import Host
from imagebuild.project.select import Destination
from imagebuild.publish.connecting import opened_here
from imagebuild.publish.places import TargetPlace
from imagebuild.publish.protocol import TemplateTarget


def opened(destination: Destination) -> AbstractContextManager[TemplateTarget]:
    """The target of a destination, which is connected until the context is left; that of a libvirt
    host in a process of its own.

    Raises HostError and UsageError, also when the context is entered.
    """
    if isinstance(destination.entry, Host):
        from imagebuild.publish.isolated import isolated

        return isolated(destination)
    return opened_here(destination)


def places(destinations: Sequence[Destination]) -> list[TargetPlace]:
    """The same as places to work on."""
    return [TargetPlace(one.name, partial(opened, one), _uri(one)) for one in destinations]


def _uri(one: Destination) -> str:
    """The URI of a host, the URL of a target, the absolute path of a folder."""
    if isinstance(one.entry, Host):
        return one.entry.uri
    place = one.entry.parsed
    return str(one.path(place.path).absolute()) if place.kind == "folder" else one.entry.url
