"""What a program of a farm needs to know: from options, else from the section ``farm`` of the project."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imagebuild.errors import UsageError
from imagebuild.farm.security import FarmKeys, require_secure
from imagebuild.ledger import address as ledgers
from imagebuild.ledger.address import LedgerAddress
from imagebuild.project.farm_address import checked
from imagebuild.project.model import Project


@dataclass(frozen=True)
class FarmPlace:
    """A scheduler's address, and the keys for it; None on a machine of one's own."""

    address: str
    keys: FarmKeys | None
    insecure: bool = False


@dataclass(frozen=True)
class GivenKeys:
    """The files that options name."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


def keys_of(project: Project, given: GivenKeys) -> FarmKeys | None:
    """The keys of this program; None if there are none. Raises UsageError and HostError."""
    section, folder = project.farm, project.folder
    chosen = (
        given.ca or (section.ca and folder / section.ca),
        given.certificate or (section.certificate and folder / section.certificate),
        given.key or (section.key and folder / section.key),
    )
    ca, certificate, key = chosen
    if ca and certificate and key:
        return FarmKeys(Path(ca), Path(certificate), Path(key)).checked()
    if any(chosen):
        raise UsageError("TLS needs all of --ca, --certificate and --key", "see docs/farm.md for how to make them")
    return None


def place_of(project: Project, address: str | None, given: GivenKeys) -> FarmPlace:
    """Where the scheduler is. Raises UsageError, also for a place that is not secure."""
    chosen = address or project.farm.scheduler
    if chosen is None:
        raise UsageError("no scheduler is given", "give --scheduler tls://HOST:PORT, or set farm.scheduler")
    try:
        checked(chosen)
    except ValueError as error:
        raise UsageError(f"--scheduler: {error}") from error
    keys = keys_of(project, given)
    require_secure(chosen, keys, insecure=project.farm.insecure)
    return FarmPlace(chosen, keys, project.farm.insecure)


def ledger_of(project: Project, given: str | None, store: Path) -> LedgerAddress:
    """The ledger: of the option, of the environment, of the project, or in the store. Raises
    UsageError.
    """
    if given is not None:
        return ledgers.parsed(given)
    found = ledgers.default(store)
    if found.path != store / "ledger.sqlite" or project.farm.ledger is None:
        return found
    line = project.farm.ledger
    return ledgers.parsed(line if "://" in line else str(project.folder / line))
