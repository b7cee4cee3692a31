"""What a nightly run does with an image after its build: gates, signature, publishing, pruning.

Each stage looks at what is there and what the journal says, and does only what is missing. So a run
that was killed is completed by the next one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from imagebuild.errors import HostError, ImageBuildError, Interrupted, from_os
from imagebuild.files import sha256
from imagebuild.host.hints import command_line
from imagebuild.nightly import gating, stages
from imagebuild.nightly.building import NightlyBuilt, failed, unexpected
from imagebuild.nightly.journal import ImageMemory, Judgement, NightlyJournal
from imagebuild.nightly.outcome import ImageFigures, NightlyImageResult, NightlyStage, NightlyTarget, StageName
from imagebuild.nightly.report_files import DIFFERENCE
from imagebuild.nightly.selecting import WantedImage
from imagebuild.nightly.stages import Publisher, Signing
from imagebuild.publish.results import exit_code
from imagebuild.store import version_order
from imagebuild.store.artifact import BUNDLE, MANIFEST, PROVENANCE, Artifact, ArtifactFolder


@dataclass(frozen=True)
class Surroundings:
    """What the images of a run share. ``sign`` is None if the project names no keys; ``keys`` identifies
    these.
    """

    output: Path
    journal: NightlyJournal
    publisher: Publisher
    reports: Path
    sign: Signing | None = None
    keys: str = ""
    accept: frozenset[str] = frozenset()


@dataclass
class ImageRun:
    """One image on its way; ``result`` says how it went."""

    around: Surroundings
    wanted: WantedImage
    memory: ImageMemory
    last: NightlyImageResult
    """Its result in the last run that came to its end."""
    _stages: list[NightlyStage] = field(default_factory=list)
    _targets: tuple[NightlyTarget, ...] = ()

    def go(self, built: NightlyBuilt) -> None:
        """All stages after the build, on what is there. Raises Interrupted."""
        self._stages += built.stages
        folder = ArtifactFolder(self.around.output, self.wanted.name)
        newest = folder.latest()
        if newest is None:
            return
        self._gates(folder, newest)
        good = folder.good()
        if good is None:
            return
        if self._sign(good) and self._publish(good):
            self._prune(good)

    def not_built(self, why: str) -> None:
        """Record that the image was not reached, or that its build was ended."""
        self._say("build", "skipped", why)

    def result(self, seconds: float, began: str, ended: str) -> NightlyImageResult:
        """How it went."""
        folder = ArtifactFolder(self.around.output, self.wanted.name)
        newest, good = folder.latest(), folder.good()
        last = self.last
        judgement = self.memory.judgement
        about = judgement if judgement and newest and judgement.version == newest.version else None
        version = newest.version if newest else ""
        success = not any(one.status == "failed" for one in self._stages)
        return NightlyImageResult(
            image=self.wanted.name,
            version=version,
            new=bool(version) and version != last.version,
            good=good.version if good else "",
            previous=last.good,
            differences=about.differences if about else (),
            stages=tuple(self._stages),
            targets=self._targets,
            figures=last.figures if version and version == last.version else figures(newest),
            seconds=round(seconds, 1),
            last_run=began,
            last_success=ended if success else last.last_success,
        )

    def _gates(self, folder: ArtifactFolder, newest: Artifact) -> None:
        """Decide whether the newest version becomes the good one."""
        good = folder.good() or self._restored(folder)
        if newer := self._newer_than(newest, good, folder):
            folder.make_good(newer)
            self._refuse_older(newest, newer)
            return
        if good is not None and good.version == newest.version:
            self._say("gates", "unchanged")
            return
        if _verdict(newest) == "failed":
            self._say("gates", "skipped", f"{newest.version} did not pass its verification")
            return
        with self._stage("gates") as began:
            judgement = self._judged(newest, good, folder.lost_good())
            if judgement.passed:
                folder.make_good(newest.version)
                self._say("gates", "passed", _words(judgement), since=began)
            else:
                self._refuse(judgement, began)

    def _newer_than(self, newest: Artifact, good: Artifact | None, folder: ArtifactFolder) -> str:
        """The newest good version, if the one that was built last is older by its name; else empty."""
        whole = {one.version for one in folder.versions()}
        passed = [one for one in self.memory.passed if one in whole]
        newer = version_order.newest([*passed, *([good.version] if good else ())])
        return newer if version_order.is_older(newest.version, newer) else ""

    def _refuse_older(self, newest: Artifact, newer: str) -> None:
        """Versions have the day of their build: this one would be refused by every target, every night."""
        remove = command_line("rm", "-r", newest.folder)
        self._stages.append(
            NightlyStage(
                stage="gates",
                status="failed",
                message=f"{newest.version} was built after {newer} and is older by its name: the clock of this host was"
                f" wrong then, or is wrong now; {newer} stays the good version",
                hint=f"set the clock, remove the version with the wrong date, and run it again: {remove}",
                exit_code=HostError.exit_code,
            )
        )

    def _restored(self, folder: ArtifactFolder) -> Artifact | None:
        """The last version that passed its gates, if the link that named it was removed: else a version
        that was refused would pass as the first one."""
        whole = {one.version for one in folder.versions()}
        passed = [version for version in self.memory.passed if version in whole]
        if folder.lost_good() or not passed:
            return None
        folder.make_good(passed[-1])
        return folder.good()

    def _judged(self, newest: Artifact, good: Artifact | None, lost: str) -> Judgement:
        """The judgement about the newest version; ``lost`` is the good one if that is damaged or gone."""
        known = self.memory.judgement
        against = good.version if good else lost
        asked = (newest.version, against, self.wanted.gates)
        if known is None or (known.version, known.against, known.gates) != asked:
            gates = self.wanted.gates
            compared = gating.lost(newest, lost, gates) if lost else gating.judge(newest, good, gates)
            gating.write(compared, self.around.reports / f"{self.wanted.name}{DIFFERENCE}")
            known = compared.judgement
        if self.wanted.name in self.around.accept and not known.passed:
            known = gating.accepted(known)
        if known != self.memory.judgement:
            self._remember(judgement=known, **self._verdicts(known))
        return known

    def _verdicts(self, judgement: Judgement) -> dict[str, object]:
        """The verdicts about all versions that are still there, with this one."""
        output = ArtifactFolder(self.around.output, self.wanted.name)
        there = {one.version for one in output.versions()} - {judgement.version}
        refused = {version: why for version, why in self.memory.refused.items() if version in there}
        passed = tuple(version for version in self.memory.passed if version in there)
        if judgement.passed:
            return {"refused": refused, "passed": (*passed, judgement.version)}
        messages = tuple(f"{gate}: {message}" for gate, message in judgement.fired)
        return {"refused": {**refused, judgement.version: messages}, "passed": passed}

    def _refuse(self, judgement: Judgement, began: float) -> None:
        gates = ", ".join(dict.fromkeys(gate for gate, _ in judgement.fired))
        self._stages.append(
            NightlyStage(
                stage="gates",
                status="failed",
                message=f"{judgement.version} does not pass {gates}; {judgement.against} stays the good version",
                hint=f"if the differences are intended: imagebuild nightly --accept {self.wanted.name}",
                details=tuple(f"{gate}: {message}" for gate, message in judgement.fired),
                seconds=_since(began),
                exit_code=1,
            )
        )

    def _sign(self, good: Artifact) -> bool:
        """Sign the good version; false if that failed."""
        if self.around.sign is None:
            self._say("sign", "skipped", "the project signs nothing")
            return True
        identity = f"{good.version} {self.around.keys}"
        if self.memory.signed == identity:
            self._say("sign", "unchanged")
            return True
        with self._stage("sign") as began:
            self.around.sign(good)
            signed = (good.folder / PROVENANCE, good.folder / BUNDLE)
            signature = " ".join((good.version, *(sha256(path) for path in signed if path.exists())))
            published = self.memory.published
            if signature != self.memory.signature:  # the records at the targets have another one, or none
                published = {place: version for place, version in published.items() if version != good.version}
            self._remember(signed=identity, signature=signature, published=published)
            self._say("sign", "passed", since=began)
        return self._went_well("sign")

    def _publish(self, good: Artifact) -> bool:
        """Bring the good version to the places that lack it; false if that failed anywhere."""
        if not self.wanted.to:
            self._say("publish", "skipped", "not asked for")
            return False
        publisher = self.around.publisher
        missing = publisher.missing(self.wanted, good.version, self.memory.published)
        names = {one.name for one in missing}
        there = [
            NightlyTarget(target=one.name, current=True, status="unchanged")
            for one in self.wanted.to
            if one.name not in names
        ]
        self._targets = (*there, *(NightlyTarget(target=name, current=False, status="not started") for name in names))
        if not missing:
            self._say("publish", "unchanged")
            return True
        with self._stage("publish") as began:
            done = publisher.publish(good, self.wanted, missing)
            keys = stages.keys(self.wanted)
            now = {keys[one.target]: good.version for one in done if one.good}
            old = {name: version for name, version in self.memory.published.items() if name in keys.values()}
            self._remember(published={**old, **now})
            by_name = {one.target: one for one in (*there, *map(stages.target_of, done))}
            self._targets = tuple(by_name[one.name] for one in self.wanted.to)
            bad = [one for one in self._targets if not one.current]
            message = f"{good.version} is not current at {len(bad)} of {len(self._targets)} targets" if bad else ""
            details = tuple(f"{one.target}: {one.status}: {one.message}" for one in bad)
            status = "failed" if bad else "passed"
            self._say("publish", status, message, since=began, details=details, code=exit_code(done) if bad else 0)
        return self._went_well("publish")

    def _prune(self, good: Artifact) -> None:
        keep = self.around.publisher.project.nightly.keep.templates
        if keep is None or self.memory.pruned == good.version:
            return
        with self._stage("prune") as began:
            done = self.around.publisher.prune(self.wanted.name, self.wanted.to, keep)
            bad = [one for one in done if not one.good]
            if bad:
                details = tuple(f"{one.target}: {one.phase}: {one.message}" for one in bad)
                message = f"old versions could not be removed at {len(bad)} of {len(done)} targets"
                self._say("prune", "failed", message, since=began, details=details, code=exit_code(done))
            else:
                self._remember(pruned=good.version)
                self._say("prune", "passed", since=began)

    @contextmanager
    def _stage(self, name: StageName) -> Iterator[float]:
        """A stage, whose errors are its result. Raises Interrupted."""
        began = time.monotonic()
        try:
            yield began
        except Interrupted:
            raise
        except ImageBuildError as error:
            self._stages.append(failed(name, error, time.monotonic() - began))
        except OSError as error:
            self._stages.append(failed(name, from_os(error), time.monotonic() - began))
        except Exception as error:  # noqa: BLE001 - see building.unexpected
            self._stages.append(unexpected(name, error, time.monotonic() - began))

    def _say(
        self, name: StageName, status: str, message: str = "", *, since: float | None = None,
        details: tuple[str, ...] = (), code: int = 0,
    ) -> None:  # fmt: skip
        seconds = 0.0 if since is None else _since(since)
        self._stages.append(
            NightlyStage(
                stage=name, status=status, message=message, details=details, seconds=seconds, exit_code=code,  # type: ignore[arg-type]
            )
        )  # fmt: skip

    def _went_well(self, name: StageName) -> bool:
        return all(one.status != "failed" for one in self._stages if one.stage == name)

    def _remember(self, **changes: object) -> None:
        self.memory = self.around.journal.change(self.wanted.name, **changes)


def _since(began: float) -> float:
    return round(time.monotonic() - began, 1)


def _words(judgement: Judgement) -> str:
    if not judgement.against:
        return "the first version"
    if judgement.accepted:
        return f"accepted: {', '.join(dict.fromkeys(gate for gate, _ in judgement.fired))}"
    return "; ".join(judgement.differences) or "the same contents"


def _content(artifact: Artifact) -> dict[str, object]:
    with suppress(OSError, ValueError):
        found = json.loads((artifact.folder / MANIFEST).read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def _verdict(artifact: Artifact) -> str:
    found = _content(artifact).get("verification")
    return str(found.get("verdict", "")) if isinstance(found, dict) else ""


def figures(artifact: Artifact | None) -> ImageFigures:
    """Figures of a version, as its manifest has them."""
    if artifact is None:
        return ImageFigures()
    content = _content(artifact)
    built, packages = content.get("built"), content.get("packages")
    images = artifact.manifest().images
    return ImageFigures(
        size=sum(one.size for one in images),
        virtual_size=sum(one.virtual_size for one in images),
        packages=len(packages) if isinstance(packages, dict) else 0,
        built=str(built.get("ended", "")) if isinstance(built, dict) else "",
    )
