"""Empty machines of a real libvirt: their owners, and a daemon that is restarted."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagebuild.build.gc import collect
from imagebuild.build.machines import machines
from imagebuild.host import accelerator, daemons, hypervisor
from imagebuild.host.hypervisor import Hypervisor
from imagebuild.store.store import Store

from .conftest import end_private_daemon

pytestmark = pytest.mark.vm
DOMAIN = """\
<domain type="qemu"><name>{name}</name><description>{description}</description><memory>65536</memory><os><type>hvm</type></os></domain>
"""  # noqa: E501


@pytest.fixture
def connection() -> Iterator[Hypervisor]:
    with hypervisor.connected(hide_kvm=True) as connected:
        yield connected


@pytest.fixture
def start(connection: Hypervisor, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Start a paused machine with this description. Returns its name."""
    names = []

    def start(description: str) -> str:
        names.append(f"imagebuild-test-{secrets.token_hex(4)}")
        definition = tmp_path / "domain.xml"
        definition.write_text(DOMAIN.format(name=names[-1], description=description))
        subprocess.run(["virsh", "--quiet", "--connect", connection.uri, "create", "--paused", definition], check=True)
        return names[-1]

    yield start
    for name in names:
        connection.end(name)


def test_machines_of_runs_that_are_gone_with_their_folder(
    connection: Hypervisor, start: Callable[[str], str], tmp_path: Path
) -> None:
    store, other = Store(tmp_path / "store"), Store(tmp_path / "other")
    gone = start(store.runs.described("web-1"))
    others = start(other.runs.described("web-1"))
    nobodys = start("the web server of somebody")
    with store.runs.workdir("web-2", shared=False):
        living = start(store.runs.described("web-2"))
        assert [one.what for one in collect(store, keep=2, dry_run=True).removed] == [f"machine {gone}"]
        assert connection.state(gone).status == "paused"
        assert [one.what for one in collect(store, keep=2).removed] == [f"machine {gone}"]
        assert connection.state(gone).status == "gone"
        assert {connection.state(name).status for name in (others, nobodys, living)} == {"paused"}


def test_looking_for_leftovers_starts_no_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that is started while it sees a broken KVM would slow down all later builds."""
    end_private_daemon()
    if hypervisor.answers():
        pytest.skip("this host's own libvirt daemon runs")
    monkeypatch.setattr(accelerator, "others_run", lambda: False)  # other tests run machines
    collect(Store(tmp_path / "store"), keep=2)
    assert not hypervisor.answers()


def test_leftover_machines_are_found_after_their_daemon_has_ended(start: Callable[[str], str], tmp_path: Path) -> None:
    if daemons.private_daemon() is None:
        pytest.skip("only a libvirt daemon that was started here may be ended")
    name = start("it runs on")
    end_private_daemon()
    with machines(Store(tmp_path / "store")) as connection:
        assert connection is not None
        assert connection.state(name).status == "paused"
    assert daemons.private_daemon() is not None


def test_a_daemon_that_is_restarted(connection: Hypervisor, start: Callable[[str], str]) -> None:
    daemon = daemons.private_daemon()
    if daemon is None:
        pytest.skip("only a libvirt daemon that was started here may be ended")
    name = start("it runs on")
    end_private_daemon()
    assert connection.state(name).status == "paused"
    assert daemons.private_daemon() not in (None, daemon)
    end_private_daemon()
    connection.end(name)
    assert connection.state(name).status == "gone"
