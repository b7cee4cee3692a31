"""Who gets no work on a farm, and learns why in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from farm_certificates import authority
from farm_site import FarmSite, until

from imagebuild.build.scheduler import Room
from imagebuild.errors import UsageError
from imagebuild.farm.offer import WorkerOffer, offered, refused
from imagebuild.farm.security import FarmKeys, require_secure
from imagebuild.farm.software import Software

pytestmark = pytest.mark.seconds


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[FarmSite]:
    """A farm with TLS, with its scheduler."""
    site = FarmSite(tmp_path / "farm", "tls", authority(tmp_path / "keys"))
    try:
        site.scheduler()
        yield site
    finally:
        site.close()


def test_tls_between_all_and_others_stay_out(secure: FarmSite, tmp_path: Path) -> None:
    other, expired = authority(tmp_path / "other"), authority(tmp_path / "expired", days=-1)
    mixed = (*secure.tls[:2], *other[2:])  # the farm's authority, but a certificate of another one
    own_ca = (*secure.tls[:2], *expired[2:])
    secure.recipe("web")
    secure.worker("good", "--jobs", "1")
    tries = {
        "foreign": (other, "has a certificate of another authority"),
        "mixed": (mixed, "refused this machine's certificate"),
        "expired": (own_ca, "refused this machine's certificate"),
        "none": ((), "needs certificates"),
    }
    started = {name: secure.worker(name, tls=keys) for name, (keys, _) in tries.items()}
    for name, (_, sentence) in tries.items():
        assert started[name].wait(60) == (2 if name == "none" else 3), secure.log(name)
        assert sentence in secure.log(name), secure.log(name)
    client = secure.build("web", name="stranger", tls=other)
    assert client.wait(60) == 3
    assert "certificate of another authority" in secure.log("stranger")
    (end,) = secure.built("web")
    assert end["event"] == "artifact"


def test_workers_that_would_build_something_else_get_no_work(farm: FarmSite) -> None:
    (farm.folder / "remote").mkdir()
    (farm.folder / "store.key").write_text("0123456789abcdef" * 4)
    (farm.folder / "keyless.yaml").write_text("store: {remote: remote}\n")
    (farm.folder / "imagebuild.yaml").write_text("store: {remote: remote, key: {file: store.key}}\n")
    farm.settings["IMAGEBUILD_LEDGER"] = str(farm.folder / "ledger.sqlite")
    farm.recipe("web")
    farm.worker("older", IMAGEBUILD_FAKES_OTHER_VERSION="0.0.1")
    farm.worker("changed", IMAGEBUILD_FAKES_OTHER_CODE="0" * 64)
    farm.worker("keyless", "--config", "keyless.yaml")
    farm.is_ready("older", "changed", "keyless")
    (end,) = farm.built("web", "--patience", "10s", code=3)
    assert end["message"].startswith("no worker may work for this order")
    reasons = {
        "older": "it runs imagebuild 0.0.1, and this order needs",
        "changed": "has other code",
        "keyless": "it has another key of the shared store, or none",
    }
    for name, reason in reasons.items():
        assert reason in farm.notes(), farm.notes()
        until(lambda name=name: "this worker gets no work" in farm.log(name), 30)
    assert not farm.fakes("begins")


def test_one_sentence_says_why() -> None:
    software = Software("1", "a", "1.3", "1.50", "7.2")
    offer = WorkerOffer("w1", Room(1, 1, 1), 1, frozenset(), software, "ledger", "store")
    assert not refused(offer, software, "ledger", "store")
    assert offered(offer.as_data()) == offer
    assert offered({**offer.as_data(), "software": {"version": "0.1"}}) is None
    assert "another ledger" in refused(offer, software, "other", "store")
    assert "another shared store" in refused(offer, software, "ledger", "other")
    sealed = replace(offer, store="store/")
    assert "another key of the shared store, or none" in refused(sealed, software, "ledger", "store/1234")
    assert refused(offer, replace(software, qemu="8"), "ledger", "store") == "it has qemu 7.2, and this order needs 8"


@pytest.mark.parametrize("address", ["tcp://10.0.0.1:8786", "tcp://farm.example.org:8786", "tcp://0.0.0.0:8786"])
def test_plain_tcp_stays_on_this_machine(address: str) -> None:
    with pytest.raises(UsageError, match="is not encrypted"):
        require_secure(address, None, insecure=False)
    require_secure(address, None, insecure=True)
    require_secure("tcp://127.0.0.1:8786", None, insecure=False)
    with pytest.raises(UsageError, match="needs certificates"):
        require_secure("tls://10.0.0.1:8786", None, insecure=True)
    with pytest.raises(UsageError, match="although certificates are given"):
        require_secure("tcp://127.0.0.1:8786", FarmKeys(Path("a"), Path("b"), Path("c")), insecure=False)
