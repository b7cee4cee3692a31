"""The target of a destination, connected in this process; see also :mod:`imagebuild.publish.opening`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from imagebuild.project.model import Host
from imagebuild.project.select import Destination
from imagebuild.publish.protocol import TemplateTarget


def opened_here(destination: Destination) -> AbstractContextManager[TemplateTarget]:
    """The target, which is connected until the context is left.

    Raises HostError and UsageError, also when the context is entered.
    """
    # imported late: each needs libraries of its own, and few commands need all of them
    if isinstance(destination.entry, Host):
        from imagebuild.publish.libvirt_target import LibvirtTarget

        return LibvirtTarget(destination.name, destination.entry, destination.folder)
    return _storage(destination)


@contextmanager
def _storage(destination: Destination) -> Iterator[TemplateTarget]:
    from imagebuild.publish.targets.storage_targets import storage_target

    assert not isinstance(destination.entry, Host)
    yield storage_target(destination.name, destination.entry, destination.folder)
