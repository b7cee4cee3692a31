"""The stages of a nightly run that other rooms do: publish, prune, sign, the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from imagebuild import fingerprint
from imagebuild.build import gc
from imagebuild.errors import Interrupted
from imagebuild.nightly.outcome import NightlyTarget
from imagebuild.nightly.selecting import TO, WantedImage
from imagebuild.progress import Reporter
from imagebuild.project.model import Project
from imagebuild.project.select import Destination
from imagebuild.publish import preconditions
from imagebuild.publish.opening import places
from imagebuild.publish.parallel import Work
from imagebuild.publish.places import TargetPlace
from imagebuild.publish.results import TargetResult
from imagebuild.store.artifact import Artifact
from imagebuild.store.store import Store

Signing = Callable[[Artifact], None]
"""Signs an artifact; one that is signed already stays as it is."""
_SECTION = "nightly.publish"
_OPTIONS = (f"{_SECTION}.unverified: true", "")


@dataclass(frozen=True)
class Publisher:
    """Publishes versions to the places that ``project`` names."""

    project: Project
    reporter: Reporter

    def check(self, wanted: WantedImage) -> None:
        """Refuse canaries that are not among the places of an image. Raises UsageError; connects to nothing."""
        if wanted.to:
            self._canaries(wanted)

    def missing(self, wanted: WantedImage, version: str, published: Mapping[str, str]) -> list[Destination]:
        """The places that do not have ``version``, as far as ``published`` knows."""
        return [one for one, place in _pairs(wanted) if published.get(key(place)) != version]

    def publish(self, artifact: Artifact, wanted: WantedImage, to: Sequence[Destination]) -> list[TargetResult]:
        """Publish to ``to``, which are those of the image's places that lack it, canaries first: a canary
        that has the version was good. Raises ImageBuildError if nothing can be published, and Interrupted
        after the places have come to an end.
        """
        # most nights publish nothing
        from imagebuild.publish import signed
        from imagebuild.publish.publication import publication
        from imagebuild.publish.publishing import Canaries, Publishing
        from imagebuild.publish.release import release

        config = self.project.nightly.publish
        where = places(to)
        canaries = {one.name for one in self._canaries(wanted)}
        first = [one for one in where if one.name in canaries]
        work = Work(self.reporter, config.jobs)
        with self.reporter.step(artifact.recipe, "read") as step:
            step.update("reading the artifact")
            found = release(artifact)
            accepted = signed.acceptance(self.project)
            if accepted is not None:
                step.update("checking the signature")
                found = signed.checked(found, artifact, accepted)
            step.summary(f"version {found.version}")
        preconditions.require_verdict(found, unverified=config.unverified, despite_failure=False, options=_OPTIONS)
        check = preconditions.canary_check(
            boot=config.canary_boot, command=config.canary_check, limit=config.canary_timeout, stop=work.stop
        )
        wanted_there = replace(publication(found), rising=accepted is not None)
        done = Publishing(work, wanted_there).go(where, Canaries(first, check) if first else None)
        _check_interrupted(work)
        return done

    def prune(self, template: str, to: Sequence[Destination], keep: int) -> list[TargetResult]:
        """Remove old versions of a template at these places. Raises Interrupted."""
        from imagebuild.publish import pruning

        work = Work(self.reporter, self.project.nightly.publish.jobs)
        done = pruning.prune(work, places(to), [template], keep, dry_run=False)
        _check_interrupted(work)
        return list(done)

    def _canaries(self, wanted: WantedImage) -> list[TargetPlace]:
        """The canaries among the places of an image. Raises UsageError."""
        config = self.project.nightly.publish
        word = config.canary_word
        if word is None:
            return []
        what = f"{_SECTION}.canary"
        first = preconditions.canary_places(word, places(wanted.to), self.project, what=what, to=TO)
        if config.canary_boot:
            words = (f"{_SECTION}.canary_boot", what, f"{_SECTION}.canary_check")
            preconditions.require_hosts(first, wanted.to, what=words)
        return first


def _pairs(wanted: WantedImage) -> list[tuple[Destination, TargetPlace]]:
    return list(zip(wanted.to, places(wanted.to), strict=True))


def key(place: TargetPlace) -> str:
    """What identifies a place in the journal: its name and its address."""
    return f"{place.name} {place.uri}"


def keys(wanted: WantedImage) -> dict[str, str]:
    """What identifies the places of an image in the journal, by name."""
    return {place.name: key(place) for place in places(wanted.to)}


def target_of(result: TargetResult) -> NightlyTarget:
    """The result of publishing to one place, as a nightly run reports it."""
    where = f"{result.phase}: " if result.phase and not result.good else ""
    return NightlyTarget(
        target=result.target,
        current=result.good,
        status=result.status,
        message=f"{where}{result.message}" if result.message else "",
        sent=result.sent,
        seconds=result.seconds,
    )


def _check_interrupted(work: Work) -> None:
    if work.interrupted:
        raise Interrupted("interrupted; nothing was switched or removed after that")


def remove_versions(output: Path, store: Store, images: Sequence[str], keep: int) -> int:
    """Remove old versions of these images, and leftovers; returns how many folders."""
    return len(gc.versions(output, store, keep=keep, recipes=images))


def collect(store: Store, keep: int, most: int | None) -> int:
    """Remove results that no build needs from the store; returns how many. Raises HostError."""
    return len(gc.collect(store, keep=keep, max_size=most).removed)


def signing(project: Project) -> tuple[Signing | None, str]:
    """What signs an artifact as the project says, and what identifies its keys; None if it signs nothing."""
    trust, folder = project.trust, project.folder
    if trust is None or not trust.signs:
        return None, ""

    def sign(artifact: Artifact) -> None:
        from imagebuild.trust import attesting  # its libraries take their time, and most nights sign nothing
        from imagebuild.trust.keyless import KeylessSigner

        attesting.attested(
            artifact, trust, folder, KeylessSigner(trust.sigstore, folder) if trust.sigstore.sign else None
        )

    return sign, fingerprint.text(trust.model_dump_json())[:16]
