"""Artifacts on their way: a worker makes one an entry of the shared store, and whoever asked for it
copies it into the folder of its artifacts.

Each claim has its own entry, so that a late worker changes nothing that somebody reads.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from imagebuild import fingerprint
from imagebuild.build.engine import lock_name
from imagebuild.errors import HostError
from imagebuild.farm.shared import FarmStore
from imagebuild.ledger.claims import Claim, LedgerBuild
from imagebuild.store.artifact import Artifact, ArtifactFolder
from imagebuild.store.store import Store

KIND = "artifact"
_FILES = "files"


def entry_name(claim: Claim, wanted: str, ledger: str) -> str:
    """The fingerprint of the entry for what a claim makes."""
    return fingerprint.of({"ledger": ledger, "build": str(claim.build), "claim": str(claim.fence), "image": wanted})


def stored(artifact: Artifact, name: str, store: Store, within: Path) -> None:
    """Make the files of an artifact, which are moved, an entry. ``within`` is the folder of a run."""
    inputs = {"image": artifact.recipe, "version": artifact.version}
    with store.make(KIND, name, within=within, label=artifact.recipe, inputs=inputs) as folder:
        artifact.folder.rename(folder / _FILES)


def discard(name: str, store: Store) -> None:
    """Remove an entry from a machine's own store, unless somebody uses it."""
    for entry in store.entries():
        if (entry.kind, entry.fingerprint) == (KIND, name):
            store.remove(entry)


def deliver(build: LedgerBuild, shared: FarmStore, store: Store, output: Path) -> Artifact | None:
    """Copy the artifact of a build that is done below ``output``; None if it is no longer in the
    shared store. Raises HostError.
    """
    name, version = build.artifact or "", build.version or ""
    if not shared.pull(KIND, name, store):
        return None
    with ExitStack() as held:
        folder = store.take(KIND, name, held)
        if folder is None:
            return None
        made = Artifact(folder / _FILES, build.image, version)
        if made.manifest().fingerprint != build.fingerprint:
            raise HostError(
                f"the shared store has another image than {build.image} {version}", "check who may write to it"
            )
        with store.locked(lock_name(output, build.image), lambda _: None):
            artifact = ArtifactFolder(output, build.image).adopt(made.folder, version)
    if not shared.keeps_local():
        discard(name, store)
    return artifact
