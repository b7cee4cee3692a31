"""What decides whether a canary is good: a command of the user, or whatever else is passed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from imagebuild.errors import CommandFailed, HostError, ImageBuildError
from imagebuild.host import process
from imagebuild.publish.places import TargetPlace
from imagebuild.publish.release import Release

CanaryCheck = Callable[[TargetPlace, Release], None]
"""Called for each canary after the switch; raises ImageBuildError, which says why it is not good."""


def command_check(command: str, timeout: float) -> CanaryCheck:
    """A check that runs a shell command line, and is passed by exit status 0 within ``timeout``
    seconds.

    The command gets IMAGEBUILD_HOST, IMAGEBUILD_URI, IMAGEBUILD_TEMPLATE and IMAGEBUILD_VERSION.
    """

    def check(place: TargetPlace, release: Release) -> None:
        variables = {
            "IMAGEBUILD_HOST": place.name,
            "IMAGEBUILD_URI": place.uri,
            "IMAGEBUILD_TEMPLATE": release.template,
            "IMAGEBUILD_VERSION": release.version,
        }
        try:
            process.run(["sh", "-c", command], timeout=timeout, env=variables)
        except (CommandFailed, HostError) as error:
            what = error.message.removeprefix("sh ")
            raise ImageBuildError(f"the check of the canary {what}", "--verbose shows the command's output") from error

    return check


def all_of(checks: Sequence[CanaryCheck]) -> CanaryCheck | None:
    """A check that is passed if all of these are; None without any."""
    if not checks:
        return None

    def check(place: TargetPlace, release: Release) -> None:
        for one in checks:
            one(place, release)

    return check
