"""Keeps the roots that others continue from in the store, for all recipes and for the runtime.

They are no steps of a plan, because which ones are needed depends on what the mirror has at the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

from imagebuild import fingerprint
from imagebuild.errors import ImageBuildError
from imagebuild.kickstrap import base_root
from imagebuild.kickstrap import payload as archives
from imagebuild.kickstrap.base_root import BaseRoot, BaseSpec
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.kickstrap.payload import PayloadResult, PayloadSpec
from imagebuild.kickstrap.release_date import MirrorState
from imagebuild.log import logger
from imagebuild.printable import counted
from imagebuild.progress import Progress
from imagebuild.step import Entries, Step

BASE_CODE = (*(f"kickstrap/{name}.py" for name in base_root.CODE), "customise/linux/dpkg.py")
"""The code that determines a base; a test compares it with the imports."""


class _MirrorMoved(ImageBuildError):
    """The mirror was updated between our look at it and apt's."""


def base_step(spec: BaseSpec, offered: str, mmdebstrap: str) -> Step:
    """The base of ``spec`` from a mirror in the state ``offered``, made by this version of mmdebstrap."""
    inputs = {
        "suite": spec.suite,
        "mirror": name_of(spec.mirror),
        "components": " ".join(spec.components),
        "excluded packages": " ".join(spec.excluded),
        "weak dependencies": str(spec.recommends),
        "architecture": spec.arch,
        **({"files": " ".join(spec.left_out)} if spec.left_out else {}),
        "packages": offered,
        "code": fingerprint.code(*BASE_CODE),
        "mmdebstrap": mmdebstrap,
    }
    return Step("base", "base", f"required packages, Debian {spec.suite}", inputs)


def name_of(mirror: Mirror) -> str:
    """The mirror as an input of a step."""
    return f"{mirror.main or 'default'} {mirror.security or ''} {'updates' if mirror.updates else ''}".strip()


@dataclass
class StoredRoots:
    """The roots of one run. ``step_of`` is the step of a root archive in the current state of the store;
    ``inputs_of`` are its inputs without any state.
    """

    entries: Entries
    state: MirrorState
    mmdebstrap: str
    step_of: Callable[[PayloadSpec], Step]
    inputs_of: Callable[[PayloadSpec], Mapping[str, str]]
    _lock: Lock = field(default_factory=Lock)
    _bases: dict[str, BaseRoot | Exception | None] = field(default_factory=dict)

    def base(self, spec: BaseSpec) -> BaseRoot | None:
        """The base of ``spec``, made at most once in this run; None if the mirror's state is not known or
        has just changed.

        Runtime and payload ask from threads of their own; the second one waits for the first.
        """
        offered = self.state.offered(spec.components, spec.arch)
        if not offered:
            return None
        step = base_step(spec, offered, self.mmdebstrap)
        with self._lock:
            if step.fingerprint not in self._bases:
                self._bases[step.fingerprint] = self._made(step, spec, offered)
            made = self._bases[step.fingerprint]
        if isinstance(made, Exception):
            raise made
        return made

    def _made(self, step: Step, spec: BaseSpec, offered: str) -> BaseRoot | Exception | None:
        def fill(folder: Path, progress: Progress) -> str:
            made = base_root.build(replace(spec, epoch=self.state.epoch), folder / "root", progress)
            if made.offered != offered:
                raise _MirrorMoved("the mirror was updated while its packages were fetched")
            return f"required packages, {counted(len(made.packages), 'package')}"

        try:
            return base_root.read(self.entries.make(step, fill) / "root")
        except _MirrorMoved as moved:
            logger.info("%s: the base is not stored", moved.message)
            return None
        except Exception as error:  # noqa: BLE001 - raised again in each thread that asks
            return error

    def foundation(self, spec: PayloadSpec, base: BaseRoot) -> PayloadResult | None:
        """The archive of ``spec`` with the packages of ``base``'s moment: one that a recipe was installed
        from, or one of its own; None if it cannot be stored.
        """
        if not base.offered:
            return None
        step = self.step_of(spec)
        # another build may be making it: the lock is that of whoever makes an entry
        with self.entries.store.locked(f"{step.kind}-{step.fingerprint[:16]}", lambda pid: None):
            current = self.entries.find(step)
        if current is not None and (archive := archives.read(current)).offered == base.offered:
            return archive

        def fill(folder: Path, progress: Progress) -> str:
            made = archives.build_over(spec, base, None, folder, progress)
            return f"common packages, {counted(len(made.packages), 'package')}"

        # with a name of its own: the archive without it remains the one that recipes are installed from
        inputs = {**self.inputs_of(spec), "continued from": base.offered}
        return archives.read(self.entries.make(Step("foundation", "payload", "common packages", inputs), fill))
