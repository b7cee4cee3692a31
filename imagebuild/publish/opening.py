"""From what the command line selects to places that can be worked on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from imagebuild.project.model import Host
from imagebuild.project.select import Destination
from imagebuild.publish.places import TargetPlace
from imagebuild.publish.target import Target


def opened(destination: Destination) -> AbstractContextManager[Target]:
    """The target of a destination, which is connected until the context is left.

    Raises HostError and UsageError, also when the context is entered.
    """
    # imported late: each needs libraries of its own, and few commands need all of them
    if isinstance(destination.entry, Host):
        from imagebuild.publish.isolated import isolated

        return isolated(destination)
    return _storage(destination)


def opened_here(destination: Destination) -> AbstractContextManager[Target]:
    """The same in this process, also for a libvirt host."""
    if isinstance(destination.entry, Host):
        from imagebuild.publish.libvirt_target import LibvirtTarget

        return LibvirtTarget(destination.name, destination.entry, destination.folder)
    return _storage(destination)


@contextmanager
def _storage(destination: Destination) -> Iterator[Target]:
    from imagebuild.publish.targets.opening import storage_target

    assert not isinstance(destination.entry, Host)
    yield storage_target(destination.name, destination.entry, destination.folder)


def places(destinations: Sequence[Destination]) -> list[TargetPlace]:
    """The same as places to work on."""
    return [TargetPlace(one.name, partial(opened, one), _uri(one)) for one in destinations]


def _uri(one: Destination) -> str:
    """The URI of a host, the URL of a target, the absolute path of a folder."""
    if isinstance(one.entry, Host):
        return one.entry.uri
    place = one.entry.parsed
    return str(one.path(place.path).absolute()) if place.kind == "folder" else one.entry.url
