"""Decides whether a canary is good by booting a machine of it there."""

from __future__ import annotations

import threading

from imagebuild.errors import ImageBuildError, Interrupted
from imagebuild.publish.canary import CanaryCheck
from imagebuild.publish.isolated import IsolatedTarget
from imagebuild.publish.places import TargetPlace
from imagebuild.publish.release import Release


def boot_check(limit: float, stop: threading.Event) -> CanaryCheck:
    """A check that makes a machine with a temporary name, and is passed if it is usable within
    ``limit`` seconds. Once ``stop`` is set, it ends; the machine is removed in any case.
    """

    def update(_detail: str) -> None:
        if stop.is_set():
            raise Interrupted("interrupted while the canary booted")

    def check(place: TargetPlace, release: Release) -> None:
        with place.open() as target:
            if not isinstance(target, IsolatedTarget):
                raise ImageBuildError(
                    f"{place.name} is not a libvirt host, so nothing can be booted there",
                    "name a libvirt host with --canary, or check it with --canary-check",
                )
            target.boots(release.template, release.version, limit, update)

    return check
