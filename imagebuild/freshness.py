"""What the world changed: a root archive grows old while nothing in the recipe changes.

By default it does not count: a build from the store needs no network. Who asks gets a new archive where packages have become newer on the
mirror, or where they were taken too long ago. Then the archive has another fingerprint, and so has everything that is made of it; the store keeps
which one is in force, so that builds that do not ask go on from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from imagebuild import fingerprint
from imagebuild.kickstrap import index
from imagebuild.kickstrap import payload as payloads
from imagebuild.kickstrap.payload import PayloadSpec
from imagebuild.store import Store

_STATE = "packages as of"
"""The input of a payload that tells which state of the world it was made of."""


@dataclass
class Freshness:
    """``if_changed`` looks at the mirror; ``max_age`` is in seconds. With neither, what is there is taken.

    ``why`` fills with the reasons by which archives are not.
    """

    store: Store
    if_changed: bool = False
    max_age: int | None = None
    why: dict[str, str] = field(default_factory=dict)

    def payload(self, spec: PayloadSpec, inputs: Mapping[str, str]) -> dict[str, str]:
        """The inputs of a root archive, with the state of the world that is in force, or a new one."""
        name = fingerprint.of(inputs)
        state = self.store.state(name)
        now = self._with(inputs, state)
        folder = self.store.find("payload", fingerprint.of(now))
        if folder is None:
            return now
        why, new = self._stale(spec, payloads.read(folder))
        if why is None:
            return now
        fresh = self._with(inputs, new)
        self.why[fingerprint.of(fresh)] = why
        return fresh

    def _stale(self, spec: PayloadSpec, there: payloads.PayloadResult) -> tuple[str | None, str]:
        """Why an archive will not do any more, and the state of the world that a new one is made of. Two builds that ask at once agree."""
        taken = datetime.fromtimestamp(there.path.stat().st_mtime, UTC)
        age = datetime.now(UTC) - taken
        if self.max_age is not None and age > timedelta(seconds=self.max_age):
            return f"its packages are {_days(age)} old", f"after {taken:%Y-%m-%dT%H:%M:%S}"
        if self.if_changed and (newer := index.newer(spec, there.packages)):
            first = next(iter(newer))
            some = f"{len(newer)} newer packages" if len(newer) > 1 else f"a newer {first}"
            return f"the mirror has {some}", fingerprint.of(newer)
        return None, ""

    @staticmethod
    def _with(inputs: Mapping[str, str], state: str) -> dict[str, str]:
        return {**inputs, _STATE: state} if state else dict(inputs)


def in_force(store: Store, inputs: Mapping[str, str]) -> None:
    """Note that the root archive with these inputs is the one for builds that do not ask."""
    plain = {name: value for name, value in inputs.items() if name != _STATE}
    store.set_state(fingerprint.of(plain), inputs.get(_STATE, ""))


def _days(age: timedelta) -> str:
    return f"{age.days} days" if age.days > 1 else f"{age // timedelta(hours=1)} h"
