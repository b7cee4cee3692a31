"""Publishes a release to one target: complete files, their digests read back, and then the switch."""

from __future__ import annotations

from contextlib import suppress

from imagebuild.errors import HostError, ImageBuildError
from imagebuild.log import logger
from imagebuild.publish import state as records
from imagebuild.publish.parallel import Attempt
from imagebuild.publish.protocol import TemplateTarget
from imagebuild.publish.publication import Publication
from imagebuild.publish.release import ReleaseFile
from imagebuild.publish.results import TargetResult
from imagebuild.publish.state import StoredFile, TemplateState
from imagebuild.store.version_order import is_older


def publish_to(
    target: TemplateTarget, wanted: Publication, attempt: Attempt
) -> tuple[TargetResult, TemplateState | None]:
    """Publish to one target; also returns the record that was there before.

    Raises ImageBuildError; the target is then as it was, except for files that no record names.
    """
    return _Transfer(target, wanted, attempt).go()


class _Transfer:
    def __init__(self, target: TemplateTarget, wanted: Publication, attempt: Attempt) -> None:
        self._target = target
        self._wanted = wanted
        self._attempt = attempt
        self._release = wanted.release
        self._files = len(wanted.release.files)
        self._sent_any = False

    def go(self) -> tuple[TargetResult, TemplateState | None]:
        attempt, template = self._attempt, self._release.template
        attempt.enter("lock", "waiting for the lock")
        with self._target.lock():
            attempt.enter("read", "reading the record")
            before = self._target.state(template)
            attempt.version = attempt.previous = before.current if before else ""
            recorded = recorded_in(before, self._wanted, self._target.name)
            after = self._after(before, recorded=recorded)
            if after != before or self._wanted.verify_stored or self._incomplete():
                for number, file in enumerate(self._release.files, start=1):
                    self._complete(file, number, before, recorded=recorded)
            if after == before:
                again = "what was missing or altered was sent again" if self._sent_any else ""
                return TargetResult(**attempt.values("unchanged") | {"phase": "", "message": again}), before
            switch(self._target, after, attempt)
            attempt.version = after.current
        return TargetResult(**attempt.values("switched") | {"phase": ""}), before

    def _after(self, before: TemplateState | None, *, recorded: bool) -> TemplateState:
        new = self._wanted.version
        if before is None:
            return records.first(self._release.template, new)
        refuse_older(before, self._wanted, self._target.name)
        if not recorded:
            return before.with_version(new)
        signed = before.signed(new.version, new.provenance) if new.provenance else before
        return signed.switched(new.version)

    def _incomplete(self) -> bool:
        stored = self._target.stored()
        return any(stored.get(one.stored.name) != one.stored.size for one in self._release.files)

    def _complete(self, file: ReleaseFile, number: int, before: TemplateState | None, *, recorded: bool) -> None:
        """Make sure that the target has the file's bytes under its name."""
        stored = file.stored
        found = read_back(self._target, stored, self._attempt) if recorded else ""
        if found == stored.sha256:
            return
        if found:
            self._repair(stored, before)
        for first in (True, False):
            self._send(file, number, before)
            if read_back(self._target, stored, self._attempt) == stored.sha256:
                return
            if first:
                logger.info("%s has other bytes on %s: it is sent again", stored.name, self._target.name)
                self._discard(stored, before)
        with suppress(ImageBuildError):
            self._discard(stored, before)
        raise ImageBuildError(
            f"{stored.name} was sent twice to {self._target.name}, and what is stored there has another SHA-256",
            "check the disks and the memory of the target; nothing was switched",
        )

    def _send(self, file: ReleaseFile, number: int, before: TemplateState | None) -> None:
        detail = "sending" if self._files == 1 else f"sending file {number} of {self._files}"
        self._attempt.enter("send", detail)
        self._sent_any = True
        before_it, first = self._attempt.sent, -1

        def report(done: int, total: int) -> None:
            nonlocal first
            first = done if first < 0 else first
            self._attempt.sent = before_it + done - first  # for the report of a failure
            self._attempt.update(detail, done, total)

        self._attempt.sent = before_it + self._target.send(file, before, report)

    def _repair(self, stored: StoredFile, before: TemplateState | None) -> None:
        if not self._wanted.repair:
            raise ImageBuildError(
                f"{stored.name} was altered on {self._target.name}: its SHA-256 is not that of what was published",
                "find out who writes there; --repair sends the file again if nothing uses it",
            )
        self._discard(stored, before)

    def _discard(self, stored: StoredFile, before: TemplateState | None) -> None:
        """Remove what is stored under the name, unless something uses it."""
        candidate = self._after(before, recorded=recorded_in(before, self._wanted, self._target.name))
        user = self._target.used(candidate).get(stored.name)
        if user is not None:
            raise ImageBuildError(
                f"{stored.name} has other bytes on {self._target.name}, and {user} uses it", _freeing(user)
            )
        self._attempt.check()
        self._target.remove(stored.name)


def _freeing(user: str) -> str:
    """What to do about ``user``, which targets name as in :meth:`TemplateTarget.used`."""
    if user.startswith("perhaps "):
        return "make it possible to look there, and publish again; or build and publish another version"
    return (
        "stopping is not enough: delete the machines that use it, or move them to disks without this backing file,"
        " and publish again; or build and publish another version"
    )


def repair_hint(version: str) -> str:
    """How a version gets its bytes back."""
    return (
        f"`imagebuild publish … --repair` with the artifact of {version} sends it again if nothing uses it,"
        " and makes it current"
    )


def refuse_older(before: TemplateState | None, wanted: Publication, where: str) -> None:
    """Raise ImageBuildError if a version would replace a newer one, and must not. What is there already
    may be repaired.
    """
    new = wanted.version.version
    if before is None or not wanted.rising or not is_older(new, before.current):
        return
    if wanted.repair and before.version(new) is not None:
        return
    raise ImageBuildError(
        f"{new} is older than {before.current}, which is current on {where}",
        f"to go back to a version that is there: `imagebuild rollback {before.template} --to {new}`;"
        " else build a new version, with the clock of this host set right",
    )


def recorded_in(before: TemplateState | None, wanted: Publication, where: str) -> bool:
    """Whether a target has this version already. Raises ImageBuildError if it is another one."""
    there = before.version(wanted.version.version) if before else None
    if there is not None and there.files != wanted.version.files:
        raise ImageBuildError(
            f"version {there.version} of {wanted.release.template} is on {where} with other bytes,"
            " and a version never changes",
            "build a new version, or publish this one as another template with --as",
        )
    return there is not None


def read_back(target: TemplateTarget, stored: StoredFile, attempt: Attempt) -> str:
    """The SHA-256 of what a target has under a name; empty if it has nothing."""
    detail = "reading back what is stored"
    attempt.enter("check", detail)
    return target.digest(stored, lambda done, total: attempt.update(detail, done, total))


def switch(target: TemplateTarget, after: TemplateState, attempt: Attempt) -> None:
    """Replace the record, and read it back.

    An error whose effect can be read is none if the record is there. Raises ImageBuildError.
    """
    if len(text := records.encoded(after)) > records.LARGEST:
        raise ImageBuildError(
            f"{after.template} has too many versions on {target.name}: its record would be too large",
            f"remove old ones with `imagebuild prune {after.template} --keep 10 --yes`",
        )
    records.decoded(text, after.template)  # what nobody could read again must not be written
    attempt.enter("switch", "switching")
    failure: ImageBuildError | None = None
    try:
        target.switch(after)
    except ImageBuildError as error:
        failure = error
    try:
        found = target.state(after.template)
    except ImageBuildError as error:
        raise HostError(
            f"{(failure or error).message}; it is not known which version of {after.template} is current there",
            f"`imagebuild templates {after.template} --on {target.name}` shows it",
        ) from error
    if found != after:
        raise failure or ImageBuildError(
            f"{target.name} accepted the record of {after.template} and has another one",
            "check whether something else than imagebuild writes there",
        )
