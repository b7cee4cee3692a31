"""Metrics for the textfile collector of node_exporter, in the text format of Prometheus (version 0.0.4).

https://prometheus.io/docs/instrumenting/exposition_formats/, names by
https://prometheus.io/docs/practices/naming/: base units, and the unit last. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from imagebuild.nightly.outcome import NightlyEnded, NightlyImageResult
from imagebuild.printable import one_line

_PREFIX = "imagebuild_nightly"


@dataclass(frozen=True)
class Sample:
    """A value with its labels."""

    value: float
    labels: Mapping[str, str]


def text(ended: NightlyEnded, others: Sequence[NightlyImageResult] = ()) -> str:
    """The metrics of a run; ``others`` are the last results of images that it left out."""
    images = sorted((*ended.images, *others), key=lambda one: one.image)
    return "".join([*_run(ended), *_images(images), *_details(images)])


def _run(ended: NightlyEnded) -> Iterator[str]:
    success = ended.exit_code == 0
    yield _gauge("success", "Whether everything in the last run went well.", [Sample(success, {})])
    yield _gauge("last_run_timestamp_seconds", "When the last run ended.", [Sample(_seconds(ended.ended), {})])
    yield _gauge("duration_seconds", "How long the last run took.", [Sample(ended.seconds, {})])


def _images(images: Sequence[NightlyImageResult]) -> Iterator[str]:
    def per_image(name: str, about: str, values: Mapping[str, float | None]) -> str:
        known = [Sample(value, {"image": image}) for image, value in values.items() if value is not None]
        return _gauge(f"image_{name}", about, known)

    yield per_image(
        "success", "Whether the last run of this image went well.", {one.image: not one.failed for one in images}
    )
    yield per_image(
        "last_run_timestamp_seconds", "When the last run of this image began.",
        {one.image: _known(one.last_run) for one in images},
    )  # fmt: skip
    yield per_image(
        "last_success_timestamp_seconds", "When a run of this image last went well; 0 for never.",
        {one.image: _known(one.last_success) or 0.0 for one in images},
    )  # fmt: skip
    yield per_image(
        "duration_seconds", "How long the last run of this image took.", {one.image: one.seconds for one in images}
    )
    with_version = [one for one in images if one.version]
    yield per_image(
        "built_timestamp_seconds", "When the newest version was built.",
        {one.image: _known(one.figures.built) for one in with_version},
    )  # fmt: skip
    yield per_image(
        "size_bytes", "Size of the files of the newest version.", {one.image: one.figures.size for one in with_version}
    )
    yield per_image(
        "virtual_size_bytes", "Size of the disks of the newest version.",
        {one.image: one.figures.virtual_size for one in with_version},
    )  # fmt: skip
    yield per_image(
        "packages", "Number of packages in the newest version.",
        {one.image: one.figures.packages for one in with_version},
    )  # fmt: skip


def _details(images: Sequence[NightlyImageResult]) -> Iterator[str]:
    info = [Sample(1, {"image": one.image, "version": one.version, "good": one.good}) for one in images if one.version]
    yield _gauge("image_info", "The newest version, and the last one that passed its gates.", info)
    stages = [(one.image, stage) for one in images for stage in one.stages if stage.status != "skipped"]
    yield _gauge(
        "image_stage_success", "Whether a stage went well in the last run of this image.",
        [Sample(stage.status != "failed", {"image": image, "stage": stage.stage}) for image, stage in stages],
    )  # fmt: skip
    yield _gauge(
        "image_stage_duration_seconds", "How long a stage took in the last run of this image.",
        [Sample(stage.seconds, {"image": image, "stage": stage.stage}) for image, stage in stages],
    )  # fmt: skip
    targets = [(one.image, target) for one in images for target in one.targets]
    yield _gauge(
        "image_target_current", "Whether a target has the last good version, as far as runs know.",
        [Sample(target.current, {"image": image, "target": target.target}) for image, target in targets],
    )  # fmt: skip


def _gauge(name: str, about: str, samples: Iterable[Sample]) -> str:
    """A metric family; empty without samples."""
    lines = [f"{_PREFIX}_{name}{_labels(one.labels)} {_number(one.value)}\n" for one in samples]
    if not lines:
        return ""
    head = f"# HELP {_PREFIX}_{name} {about}\n# TYPE {_PREFIX}_{name} gauge\n"
    return head + "".join(lines)


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return one_line(value).replace("\\", "\\\\").replace('"', '\\"')


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _seconds(moment: str) -> float:
    return float(round(datetime.fromisoformat(moment).timestamp()))


def _known(moment: str) -> float | None:
    try:
        return _seconds(moment) if moment else None
    except ValueError:
        return None
