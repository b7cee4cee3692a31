"""What to do if libvirt does not answer: what its client library says for real, and the hint for it."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imagebuild.errors import HostError
from imagebuild.host.connection_hints import connection_hint
from imagebuild.host.libvirt_host import connected_to

HELPER = (
    "End of file while reading data: virt-ssh-helper: cannot connect to '/var/run/libvirt/libvirt-sock': "
    "Failed to connect socket to '/var/run/libvirt/libvirt-sock'"
)


def refused(uri: str) -> HostError:
    with pytest.raises(HostError, match=r"^host1: cannot connect to libvirt: ") as caught, connected_to("host1", uri):
        pass
    return caught.value


@pytest.fixture
def dead(tmp_path: Path) -> Path:
    """A socket that nobody listens on."""
    path = tmp_path / "libvirt-sock"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
    return path


def ssh(folder: Path, before: str = "") -> Path:
    """A program in place of ssh that runs the command on this machine."""
    path = folder / "ssh"
    path.write_text(f'#!/bin/sh\nfor last; do :; done\n{before} exec sh -c "$last"\n')
    path.chmod(0o755)
    return path


def test_a_daemon_that_does_not_run(dead: Path, tmp_path: Path) -> None:
    for uri in (
        f"qemu+unix:///system?socket={dead}",
        f"qemu+unix:///system?socket={dead}-none",
        f"qemu+ssh://x/system?no_tty=1&command={ssh(tmp_path)}&socket={dead}",
        f"qemu+ssh://x/system?no_tty=1&command={ssh(tmp_path)}&socket={dead}-none",
    ):
        assert "systemctl start libvirtd" in str(refused(uri).hint)


@pytest.mark.parametrize("proxy", ["netcat", "native"])
def test_a_host_without_the_program_that_passes_on(proxy: str, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sh").symlink_to(str(shutil.which("sh")))
    command = ssh(tmp_path, f"PATH='{tmp_path}/bin'")
    hint = str(refused(f"qemu+ssh://x/system?no_tty=1&proxy={proxy}&command={command}").hint)
    assert "virt-ssh-helper or nc" in hint
    assert "libvirt-daemon" in hint


@contextmanager
def server(folder: Path) -> Iterator[int]:
    """A TLS server with a certificate of its own; its port."""
    key, certificate = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=host1", "-days", "2",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with pytest.raises(OSError), context.wrap_socket(connection, server_side=True) as accepted:  # noqa: PT011
                accepted.read(1)
                raise ConnectionError

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listening.getsockname()[1])
        thread.join(10)


def test_a_certificate_that_cannot_be_verified(tmp_path: Path) -> None:
    with server(tmp_path) as port:
        shutil.copy(tmp_path / "cert.pem", tmp_path / "cacert.pem")
        error = refused(f"qemu+tls://127.0.0.1:{port}/system?pkipath={tmp_path}")
    assert "verify peer's certificate" in error.message
    assert "signed by the CA in /etc/pki/CA/cacert.pem" in str(error.hint)
    missing = refused(f"qemu+tls://127.0.0.1:{port}/system?pkipath={tmp_path}/none")
    assert missing.hint == error.hint


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        (f"{HELPER}: Connection refused: Input/output error", "systemctl"),
        (f"{HELPER}: Permission denied: Input/output error", "usermod -aG"),
        ("authentication unavailable: no polkit agent available to authenticate action", "usermod -aG"),
        ("Cannot recv data: sh: line 1: nc: command not found: Connection reset by peer", "virt-ssh-helper or nc"),
        ("End of file while reading data: root@h: Permission denied (publickey).: Input/output error", None),
        ("something else", None),
    ],
)  # fmt: skip
def test_hints(said: str, hint: str | None) -> None:
    found = connection_hint(said)
    assert found is None if hint is None else hint in str(found)
