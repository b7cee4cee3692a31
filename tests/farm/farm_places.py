"""What the machines of a farm share, on real servers: the store, and the ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import postgresql_server
from farm_site import FarmSite
from storage_peers import BUCKET, Moto, Rclone, S3Peer, Sshd


@dataclass(frozen=True)
class SharedPlace:
    """The shared store of a farm: ``take`` takes it away, ``give`` brings it back with what it had (except
    moto's, which is in memory); ``artifacts`` are the names of the artifacts in it.
    """

    take: Callable[[], None]
    give: Callable[[], None]
    artifacts: Callable[[], list[str]]


@contextmanager
def shared(site: FarmSite, kind: str, ledger: str) -> Iterator[SharedPlace]:
    """Let a farm use a shared store (``folder``, ``sftp``, ``rclone``, ``moto``), and a ledger (``sqlite``,
    ``postgresql``).
    """
    with ExitStack() as opened:
        if ledger == "postgresql":
            server = opened.enter_context(postgresql_server.running())
            server.create("farm")
            site.settings |= {"IMAGEBUILD_LEDGER": server.url("farm"), "PGPASSFILE": str(server.password_file)}
        else:
            site.settings["IMAGEBUILD_LEDGER"] = str(site.folder / "ledger.sqlite")
        if kind in ("rclone", "moto"):
            peer = (Rclone if kind == "rclone" else Moto)(site.folder / "s3")
            yield _served(site, peer, peer.entry("farm"), opened, lambda: _objects(peer))
            return
        root = site.folder / "remote"
        root.mkdir()
        if kind == "sftp":
            peer = Sshd(site.folder / "sshd")
            yield _served(site, peer, peer.entry(root), opened, lambda: _files(root))
            return
        _configured(site, {"url": str(root)})
        aside = root.with_name("aside")
        yield SharedPlace(lambda: _move(root, aside), lambda: _move(aside, root), lambda: _files(root))


def _served(
    site: FarmSite, peer: Sshd | S3Peer, entry: dict[str, object], opened: ExitStack, artifacts: Callable[[], list[str]]
) -> SharedPlace:
    opened.callback(peer.kill)
    peer.start()
    _configured(site, entry)
    return SharedPlace(peer.kill, peer.start, artifacts)


def _configured(site: FarmSite, entry: dict[str, object]) -> None:
    section = {**entry, "remote": entry["url"]}
    del section["url"]
    (site.folder / "imagebuild.yaml").write_text(json.dumps({"store": section}))


def _move(source: Path, target: Path) -> None:
    source.rename(target)


def _files(root: Path) -> list[str]:
    return [path.name for path in (root / "entries" / "artifact").rglob("*") if path.is_file()]


def _objects(peer: S3Peer) -> list[str]:
    found = peer.client().list_objects_v2(Bucket=BUCKET, Prefix="farm/entries/artifact/")
    return [one["Key"] for one in found.get("Contents", ())]
