"""What ``imagebuild farm status`` shows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from imagebuild.cli.farm_records import FarmBuildListed, FarmOrderListed, FarmTry, FarmWorkerListed
from imagebuild.cli.output import echo_data, echo_lines, shown
from imagebuild.events import data
from imagebuild.farm import software
from imagebuild.farm.cluster import connected
from imagebuild.farm.offer import offered, refused, version_of
from imagebuild.farm.settings import FarmPlace
from imagebuild.ledger.address import LedgerAddress
from imagebuild.ledger.claims import LedgerBuild, LedgerOrder
from imagebuild.ledger.ledger import Ledger
from imagebuild.schema.section import MIB
from imagebuild.store.store import Store


def show(place: FarmPlace, address: LedgerAddress, store: Store, shared: str, count: int, *, as_json: bool) -> None:
    """Print the workers, as an order that uses the store ``shared`` sees them, and the last orders.
    Raises HostError.
    """
    ledger = Ledger(address)
    try:
        with connected(place, "status") as cluster:
            workers = [
                _worker(where, what, store, shared, ledger) for where, what in sorted((cluster.offers() or {}).items())
            ]
        orders = [_order(one) for one in ledger.orders(count)]
    finally:
        ledger.close()
    if as_json:
        for line in (*workers, *orders):
            echo_data(data(line))
        return
    echo_lines(_worker_lines(workers))
    echo_lines(line for order in orders for line in _order_lines(order))


def _worker(address: str, what: object, store: Store, shared: str, ledger: Ledger) -> FarmWorkerListed:
    offer = offered(what)
    if offer is None:
        reason = "it has not said yet what it offers" if what is None else "it speaks another version's language"
        return FarmWorkerListed(
            name=address, address=address, memory=0, processors=0, disk=0, jobs=0, words=(),
            version=version_of(what), draining=False, refused=reason,
        )  # fmt: skip
    reason = refused(offer, software.installed(store), ledger.id, shared)
    return FarmWorkerListed(
        name=offer.name,
        address=address,
        memory=offer.room.memory,
        processors=offer.room.vcpus,
        disk=offer.room.disk,
        jobs=offer.jobs,
        words=tuple(sorted(offer.words)),
        version=offer.software.version,
        draining=offer.draining,
        refused=reason or None,
    )


def _order(order: LedgerOrder) -> FarmOrderListed:
    builds = tuple(map(_build, order.builds))
    return FarmOrderListed(number=order.id, at=_time(order.at), asked_by=order.asked_by, host=order.host, builds=builds)


def _build(build: LedgerBuild) -> FarmBuildListed:
    tries = tuple(
        FarmTry(
            worker=one.worker,
            began=_time(one.began),
            ended=None if one.ended is None else _time(one.ended),
            outcome=one.outcome,
            message=one.message,
        )
        for one in build.tries
    )
    worker = build.worker if build.state == "running" else None
    return FarmBuildListed(image=build.image, state=build.state, worker=worker, version=build.version, tries=tries)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _worker_lines(workers: list[FarmWorkerListed]) -> Iterator[str]:
    if not workers:
        yield "no workers"
    for one in workers:
        room = f"{one.memory // MIB} MiB, {one.processors} processors, {one.disk // MIB} MiB of disk, {one.jobs} jobs"
        state = f"gets no work: {one.refused}" if one.refused else "draining" if one.draining else room
        yield f"{shown(one.name):<20} {shown(state)}  {' '.join(map(shown, one.words))}".rstrip()


def _order_lines(order: FarmOrderListed) -> Iterator[str]:
    yield ""
    yield f"order {order.number} of {shown(order.asked_by)}@{shown(order.host)}, {order.at}"
    for build in order.builds:
        what = build.version or (build.worker and f"on {build.worker}") or ""
        yield f"  {shown(build.image):<28} {build.state:<8} {shown(what)}".rstrip()
        for one in build.tries:
            if one.outcome not in ("built", None):
                yield f"    {one.began}  {shown(one.worker)}: {one.outcome}, {shown(one.message)}"
