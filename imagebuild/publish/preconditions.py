"""What must hold before anything is published, and what decides whether canaries are good."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from imagebuild.errors import UsageError
from imagebuild.project.model import Host, Project
from imagebuild.project.select import Destination, select

if TYPE_CHECKING:
    from imagebuild.publish.canary import CanaryCheck
    from imagebuild.publish.places import TargetPlace
    from imagebuild.publish.release import Release


def require_verdict(wanted: Release, *, unverified: bool, despite_failure: bool, options: tuple[str, str]) -> None:
    """Refuse a release that was not verified, or did not pass. ``options`` are how a user allows each, for
    the messages. Raises UsageError.
    """
    what = f"{wanted.template} {wanted.version}"
    if wanted.verdict == "failed" and not despite_failure:
        hint = f"; {options[1]} publishes it" if options[1] else ""
        raise UsageError(f"{what} did not pass its verification", f"see verify.json in its folder{hint}")
    if wanted.verdict not in ("passed", "failed") and not unverified:
        raise UsageError(
            f"{what} has not been verified", f"run `imagebuild verify`; {options[0]} publishes it as it is"
        )


def canary_places(
    word: str, where: Sequence[TargetPlace], project: Project, *, what: str = "--canary", to: str = "--to"
) -> list[TargetPlace]:
    """The places of ``where`` that ``word`` names: a number, or words as for ``to``. ``what`` and ``to`` are
    the options or keys that they are from. Raises UsageError.
    """
    if word.isdecimal() and word.isascii():
        if not int(word):
            raise UsageError(f"{what} 0: at least one target must be the canary", "leave the option out")
        return list(where[: int(word)])
    named = {one.name for one in select(project, [word], what)}
    found = [place for place in where if place.name in named]
    if not found:
        raise UsageError(f"{what} {word}: none of these is among the targets of {to}")
    return found


def require_hosts(
    canaries: Sequence[TargetPlace], selected: Sequence[Destination], *, what: tuple[str, str, str]
) -> None:
    """Refuse canaries where no machine can be booted, before anything is published there. ``what`` are the
    options or keys that boot, name and check canaries. Raises UsageError.
    """
    storage = {one.name for one in selected if not isinstance(one.entry, Host)}
    if found := [one.name for one in canaries if one.name in storage]:
        boot, name, command = what
        raise UsageError(
            f"{boot}: the canary {found[0]} is not a libvirt host, so nothing can be booted there",
            f"name a libvirt host with {name}, or check it with {command}",
        )


def canary_check(*, boot: bool, command: str | None, limit: float, stop: threading.Event) -> CanaryCheck | None:
    """What decides whether a canary is good: a machine that boots there, a command; None for neither. Each
    has ``limit`` seconds; once ``stop`` is set, booting ends.
    """

    from imagebuild.publish.canary import all_of, command_check
    from imagebuild.publish.canary_boot import boot_check

    def checks() -> Iterator[CanaryCheck]:
        if boot:
            yield boot_check(limit, stop)
        if command is not None:
            yield command_check(command, limit)

    return all_of([*checks()])
