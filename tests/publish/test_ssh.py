"""SSH to a host: what it is called with, and what its failures are told as."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagebuild.errors import HostError
from imagebuild.host.libvirt_host import connected_to
from imagebuild.host.process import run
from imagebuild.publish.ssh import SshAddress, connected_by_ssh, on_host, refusal
from tests.publish.fleet import FleetHost, fleet

ADDRESS = SshAddress("host", "root", 22)


def test_ssh_never_asks_and_checks_the_host() -> None:
    words = SshAddress("host", known_hosts=Path("/my keys/100%")).options()
    assert "BatchMode=yes" in words
    assert "StrictHostKeyChecking=yes" in words
    assert 'UserKnownHostsFile="/my keys/100%%"' in words
    assert "StrictHostKeyChecking=no" in SshAddress("host", insecure=True).options()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.", "another SSH host key"),
        ("No ED25519 host key is known for host\nHost key verification failed.", "not in known_hosts"),
        ("root@host: Permission denied (publickey).", "accepts none of the SSH keys"),
        ("ssh: Could not resolve hostname host: Name or service not known", "no SSH connection: Could not resolve"),
        ("ssh: connect to host host port 22: Connection refused", "no SSH connection: connect to host host port 22"),
        ("", "ended without a message"),
        ("x\x1b[2J", r"\\x1b"),
    ],
)
def test_failures_are_one_sentence(said: str, message: str) -> None:
    with pytest.raises(HostError, match=message) as caught:
        raise refusal("web1", ADDRESS, said)
    assert caught.value.message.startswith("web1: ")
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_hints_have_the_files_of_the_entry() -> None:
    given = SshAddress("host", "root", 2222, Path("/my keys/id"), Path("/srv/known_hosts"))
    for said in ("Host key verification failed.", "Permission denied (publickey).", "Connection refused"):
        command = "ssh -i '/my keys/id' -o UserKnownHostsFile=/srv/known_hosts -p 2222 root@host"
        assert command in str(refusal("web1", given, said).hint)
    for said in ("Host key verification failed.", "REMOTE HOST IDENTIFICATION HAS CHANGED"):
        assert "/srv/known_hosts" in refusal("web1", given, said).message
    quoted = SshAddress("host", known_hosts=Path("/my keys/100%"))
    assert """ssh -o 'UserKnownHostsFile="/my keys/100%%"' host""" in str(refusal("web1", quoted, "").hint)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetHost]:
    with fleet(1, folder=tmp_path_factory.mktemp("fleet")) as hosts:
        yield hosts[0]


def address(host: FleetHost, **more: object) -> SshAddress:
    values = {"host": "127.0.0.1", "user": "root", "port": host.port, "identity": host.identity}
    return SshAddress(**{**values, "known_hosts": host.known_hosts, **more})  # type: ignore[arg-type]


@pytest.mark.vm
def test_one_connection_serves_the_shell_and_libvirt(host: FleetHost) -> None:
    with connected_by_ssh("web1", address(host)) as connection:
        done = run(on_host(connection, ["printf", "%s", "a 'b' $HOME \\ ;"]), timeout=20)
        assert done.stdout == "a 'b' $HOME \\ ;"
        with connected_to("web1", connection.libvirt_uri(host.uri)) as libvirt:
            assert [pool.name for pool in libvirt.pools()] == ["default"]
        sessions = host.run("pgrep", "-fc", "sshd: root").strip()
    assert sessions == "1", "libvirt and the shell share one connection"


@pytest.mark.vm
def test_a_wrong_key_and_unknown_or_changed_host_keys_are_told_apart(host: FleetHost, tmp_path: Path) -> None:
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], timeout=20)
    empty = tmp_path / "known_hosts"
    empty.touch()
    wrong = tmp_path / "wrong_hosts"
    key = (tmp_path / "other.pub").read_text()
    wrong.write_text(f"[127.0.0.1]:{host.port} {key}")
    cases = {
        "accepts none of the SSH keys": address(host, identity=tmp_path / "other"),
        f"is not in {empty}": address(host, known_hosts=empty),
        "another SSH host key": address(host, known_hosts=wrong),
        "Connection refused": address(host, port=1),
    }
    for message, wanted in cases.items():
        with pytest.raises(HostError) as caught, connected_by_ssh("web1", wanted):
            pass
        assert message in caught.value.message
    assert empty.read_text() == ""


@pytest.mark.vm
def test_a_cut_cable_ends_in_an_error_and_not_in_waiting(host: FleetHost) -> None:
    begin = time.monotonic()
    with (
        connected_by_ssh("web1", address(host)) as connection,
        connected_to("web1", connection.libvirt_uri(host.uri)) as libvirt,
    ):
        host.cut()
        try:
            with pytest.raises(HostError, match="web1: cannot list the storage pools"):
                libvirt.pools()
        finally:
            host.mend()
    assert time.monotonic() - begin < 600, "the limit of one call is the last resort"
