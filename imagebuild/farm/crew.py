"""The workers of a farm, as one order sees them: who may work for it, and who may not, and why."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from imagebuild.farm.cluster import FarmCluster
from imagebuild.farm.offer import WorkerOffer, offered, refused, version_of
from imagebuild.farm.placement import PlacedWork, PlaceState, unplaceable
from imagebuild.farm.software import Software
from imagebuild.printable import one_line
from imagebuild.schema.section import MIB

_REST = 15.0
"""Seconds in which a worker that declined is not asked again."""


@dataclass
class Crew:
    """The workers for an order that needs this software, ledger and shared store. ``tell`` is called
    once for each worker that gets no work.
    """

    software: Software
    ledger: str
    store: str
    tell: Callable[[str], None]
    present: dict[str, WorkerOffer] = field(default_factory=dict)
    """The workers that may get work, by address."""
    refused: dict[str, str] = field(default_factory=dict)
    """Why others get none, by address."""
    _names: dict[str, str] = field(default_factory=dict)
    _resting: dict[str, float] = field(default_factory=dict)

    def look(self, cluster: FarmCluster) -> None:
        """Ask the scheduler who is there. Raises HostError."""
        found = cluster.offers()
        if found is None:
            return
        before, self.present = self.present, {}
        for address, data in found.items():
            if data is None:  # it has just come, or is a worker of something else
                self.present |= {address: before[address]} if address in before else {}
                continue
            offer = offered(data)
            version = version_of(data)
            reason = (
                f"it runs imagebuild {one_line(version)}, and this order needs {self.software.version}"
                if offer is None
                else refused(offer, self.software, self.ledger, self.store)
            )
            self._names[address] = one_line(offer.name if offer else address)
            if offer is not None and not reason:
                self.present[address] = offer
            elif self.refused.get(address) != reason:
                self.refused[address] = reason
                self.tell(f"worker {self._names[address]} gets no work: {reason}")
                cluster.tell_refused(address, reason)

    def name(self, address: str) -> str:
        """The worker's name, for messages."""
        return f"worker {self._names.get(address, address)}"

    def holder(self, address: str) -> str:
        """What a worker's claims are called in the ledger."""
        return f"{self._names.get(address, '')} {address}"

    def address(self, holder: str | None) -> str | None:
        """The address of the worker that holds a claim, if it is here."""
        return next((one for one in self.present if holder == self.holder(one)), None)

    def rest(self, address: str) -> None:
        """Ask a worker that declined no more for a while."""
        self._resting[address] = time.monotonic() + _REST

    def states(self, busy: Iterable[tuple[str, PlacedWork, float]]) -> list[PlaceState]:
        """The workers as ``placement`` sees them; ``busy`` are the builds that run, with their workers
        and the time at which they are expected to end.
        """
        running: dict[str, list[tuple[PlacedWork, float]]] = {}
        for address, work, until in busy:
            running.setdefault(address, []).append((work, until))
        now = time.monotonic()
        return [
            PlaceState(address, offer.room, offer.jobs, offer.words, tuple(running.get(address, ())))
            for address, offer in self.present.items()
            if not offer.draining and self._resting.get(address, 0) <= now
        ]

    def why_not(self, work: PlacedWork, states: Sequence[PlaceState]) -> str:
        """Why no worker can do this work, in one sentence."""
        able = [one for one in states if one.key not in work.never]
        if not self.present:
            found = f"; {next(iter(self.refused.values()))}" if self.refused else ""
            return f"no worker may work for this order{found}"
        if work.never and not able:
            return "every worker that could do it has failed"
        lacking = [word for word in sorted(work.words) if not any(word in one.words for one in able)]
        if lacking:
            return f"no worker offers {lacking[0]}"
        memory = max((one.room.memory for one in able), default=0) // MIB
        room = work.room
        needs = f"{room.memory // MIB} MiB of memory, {room.vcpus} processors and {room.disk // MIB} MiB of disk space"
        return f"no worker has room for it: it needs {needs}, and the largest has {memory} MiB of memory"


def stuck(works: Iterable[PlacedWork], states: Sequence[PlaceState]) -> list[PlacedWork]:
    """The builds that no worker can ever do."""
    return [one for one in works if unplaceable(one, states)]
