"""Who gets no work on a farm, and learns why in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from farm_certificates import authority
from farm_site import FarmSite, until

from imagebuild.errors import UsageError
from imagebuild.farm.security import FarmKeys, require_secure

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


def test_workers_of_another_version_get_no_work(farm: FarmSite) -> None:
    farm.recipe("web")
    farm.worker("older", IMAGEBUILD_FAKES_OTHER_VERSION="0.0.1")
    farm.worker("changed", IMAGEBUILD_FAKES_OTHER_CODE="0" * 64)
    farm.worker("elsewhere", "--ledger", str(farm.folder / "another.sqlite"))
    farm.worker("apart", "--store", str(farm.folder / "own"), "--ledger", str(farm.store / "ledger.sqlite"))
    farm.is_ready("older", "changed", "elsewhere", "apart")
    (end,) = farm.built("web", "--patience", "10s", code=3)
    assert end["message"].startswith("no worker may work for this order")
    reasons = {
        "older": "it runs imagebuild 0.0.1, and this order needs",
        "changed": "has other code",
        "elsewhere": "it uses another ledger",
        "apart": "it uses another shared store",
    }
    for name, reason in reasons.items():
        assert f"worker {name} gets no work: {reason}" in farm.notes() or reason in farm.notes(), farm.notes()
        until(lambda name=name: "this worker gets no work" in farm.log(name), 30)
    assert not farm.fakes("begins")


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
