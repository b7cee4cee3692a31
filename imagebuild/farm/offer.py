"""What a worker offers, from the same figures that decide how many builds run on a single host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from imagebuild.build.scheduler import Room
from imagebuild.farm.software import Software, difference

METRIC = "imagebuild"
"""The name under which the scheduler knows an offer."""


@dataclass(frozen=True)
class WorkerOffer:
    """What a worker says about itself. ``room`` is for all its builds together; ``words`` are
    ``kvm``, ``arch:NAME`` and ``label:NAME``.
    """

    name: str
    room: Room
    jobs: int
    words: frozenset[str]
    software: Software
    ledger: str
    """The identity of the ledger that it uses."""
    store: str
    """The identity of the store that it shares with others."""
    draining: bool = False

    def as_data(self) -> dict[str, Any]:
        """Plain values, as they go over the network."""
        return {**asdict(self), "words": sorted(self.words)}


@cache
def _adapter() -> TypeAdapter[WorkerOffer]:
    return TypeAdapter(WorkerOffer)


def offered(data: object) -> WorkerOffer | None:
    """The offer in what a worker sent; None if it is none that this version understands."""
    try:
        return _adapter().validate_python(data)
    except ValidationError:
        return None


def refused(offer: WorkerOffer, software: Software, ledger: str, store: str) -> str:
    """Why a worker gets no work, as the end of a sentence; empty if it may get some. Pure."""
    if reason := difference(software, offer.software):
        return reason
    if offer.ledger != ledger:
        return "it uses another ledger: both need the same address, see farm.ledger in imagebuild.yaml"
    if offer.store != store and offer.store.partition("/")[0] == store.partition("/")[0]:
        return "it has another key of the shared store, or none: see store.key in imagebuild.yaml"
    if offer.store != store:
        return "it uses another shared store: both need the same one, see store.remote in imagebuild.yaml"
    return ""


def resources(room: Room, jobs: int) -> dict[str, float]:
    """A room as dask's resources: it admits nothing beyond them."""
    return {"memory": room.memory, "vcpus": room.vcpus, "disk": room.disk, "jobs": jobs}


def version_of(data: object) -> str:
    """The version of imagebuild in an offer that this version does not understand."""
    found = data.get("software", {}) if isinstance(data, Mapping) else {}
    version = found.get("version") if isinstance(found, Mapping) else None
    return version if isinstance(version, str) else "unknown"
