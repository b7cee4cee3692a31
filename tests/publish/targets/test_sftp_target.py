"""SFTP: what ssh verifies, what it never asks, and what a server may refuse."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from storage_driver import MIB, TEMPLATE, image, opened, publish, release_of
from storage_peers import Sshd

from imagebuild.errors import HostError, UsageError
from imagebuild.publish.protocol import TemplateTarget
from imagebuild.publish.release import Release
from imagebuild.publish.targets.records import LOCK
from imagebuild.publish.targets.sftp import SftpTarget
from imagebuild.storage.ssh_command import failure, subsystem

pytestmark = pytest.mark.seconds
RECORD = f"{TEMPLATE}.json"


@pytest.fixture
def sshd(peers: Callable[[type[Any]], Any]) -> Sshd:
    server: Sshd = peers(Sshd)
    return server


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    folder = tmp_path / "with a space, a % and 'quotes'"
    folder.mkdir()
    return folder


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return release_of("1", image(tmp_path / "disk", 3 * MIB + 5))


def target(sshd: Sshd, stored: Path, **changes: object) -> TemplateTarget:
    url = f"sftp://root@127.0.0.1:{sshd.port}{str(stored).replace('%', '%25')}"
    return opened("dc2", sshd.entry(stored) | {"url": url} | changes, stored.parent)


def test_paths_with_blanks_and_percents(sshd: Sshd, stored: Path, release: Release) -> None:
    keys = stored.parent / "keys in 100%"
    keys.mkdir()
    for name in ("user", "known_hosts"):
        (keys / name).write_bytes((sshd.folder / name).read_bytes())
        (keys / name).chmod(0o600)
    place = target(sshd, stored, identity_file="keys in 100%/user", known_hosts_file="keys in 100%/known_hosts")
    assert publish(place, release) == release.size
    assert {path.name for path in stored.iterdir()} == {release.files[0].stored.name, RECORD}
    assert (stored / release.files[0].stored.name).stat().st_mode & 0o7777 == 0o444
    assert (stored / RECORD).stat().st_mode & 0o7777 == 0o644


def test_an_unknown_host_key_is_refused_and_not_added(sshd: Sshd, stored: Path) -> None:
    known = stored.parent / "empty"
    known.touch()
    with pytest.raises(HostError, match=r"ended: .*[Hh]ost key") as caught:
        target(sshd, stored, known_hosts_file=str(known)).state(TEMPLATE)
    assert "known_hosts" in (caught.value.hint or "")
    assert known.read_bytes() == b""


def test_a_changed_host_key_is_refused(sshd: Sshd, stored: Path) -> None:
    known = stored.parent / "changed"
    kind, public, *_ = (sshd.folder / "other.pub").read_text().split()
    known.write_text(f"[127.0.0.1]:{sshd.port} {kind} {public}\n")
    with pytest.raises(HostError, match="host key of dc2 is not the one that is known"):
        target(sshd, stored, known_hosts_file=str(known)).state(TEMPLATE)


def test_a_key_that_the_server_does_not_know(sshd: Sshd, stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(HostError, match="Permission denied") as caught:
        target(sshd, stored, identity_file=str(sshd.folder / "other")).state(TEMPLATE)
    assert "identity_file" in (caught.value.hint or "")


def test_a_port_where_nothing_listens(sshd: Sshd, stored: Path) -> None:
    with pytest.raises(HostError, match="Connection refused"):
        target(sshd, stored, url=f"sftp://root@127.0.0.1:1{stored.parent}").state(TEMPLATE)


def test_a_folder_that_does_not_exist(sshd: Sshd, stored: Path, release: Release) -> None:
    absent = target(sshd, stored, url=f"sftp://root@127.0.0.1:{sshd.port}{stored.parent}/absent")
    for call in (lambda: publish(absent, release), lambda: absent.state(TEMPLATE), absent.templates, absent.stored):
        with pytest.raises(HostError, match="does not exist"):
            call()
    assert not (stored.parent / "absent").exists()


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Sshd]:
    server = Sshd(tmp_path / "read-only", "internal-sftp -R")
    server.start()
    yield server
    server.kill()


def test_a_server_where_nothing_may_be_written(read_only: Sshd, stored: Path, release: Release) -> None:
    with pytest.raises(HostError, match="permission denied") as caught:
        publish(target(read_only, stored), release)
    assert "\n" not in caught.value.message
    assert list(stored.iterdir()) == []
    assert target(read_only, stored).templates() == []


@pytest.mark.parametrize("suffix", ["", ".part"])
def test_a_link_is_not_followed(sshd: Sshd, stored: Path, release: Release, suffix: str) -> None:
    victim = stored.parent / "victim"
    victim.write_bytes(b"precious")
    (stored / (release.files[0].stored.name + suffix)).symlink_to(victim)
    with pytest.raises(HostError, match="not a regular file"):
        publish(target(sshd, stored), release)
    assert victim.read_bytes() == b"precious"
    assert {path.name for path in stored.iterdir()} == {release.files[0].stored.name + suffix}


def test_wrong_bytes_in_a_part_are_sent_again(sshd: Sshd, stored: Path, release: Release) -> None:
    file = release.files[0]
    content = bytearray(file.path.read_bytes())
    content[MIB + 7] ^= 0xFF
    (stored / f"{file.stored.name}.part").write_bytes(bytes(content) + b"more than there should be")
    assert publish(target(sshd, stored), release) == file.stored.size - MIB
    assert (stored / file.stored.name).read_bytes() == file.path.read_bytes()


def test_a_complete_part_that_is_read_only_is_no_obstacle(sshd: Sshd, stored: Path, release: Release) -> None:
    file = release.files[0]
    part = stored / f"{file.stored.name}.part"
    part.write_bytes(file.path.read_bytes())
    part.chmod(0o444)
    publish(target(sshd, stored), release)
    assert not part.exists()


def test_a_pipe_does_not_make_it_wait(sshd: Sshd, stored: Path) -> None:
    os.mkfifo(stored / RECORD)
    with pytest.raises(HostError, match="not a regular file"):
        target(sshd, stored).state(TEMPLATE)


def test_what_waiting_publishers_left_is_removed(sshd: Sshd, stored: Path, release: Release) -> None:
    old, new = stored / f"{LOCK}.old", stored / f"{LOCK}.new"
    for path in (old, new):
        path.touch()
    os.utime(old, (1e9, 1e9))
    publish(target(sshd, stored), release)
    assert not old.exists()
    assert new.exists()


def program(reply: bytes) -> list[str]:
    """A program in place of ssh that answers whatever it is asked."""
    octal = "".join(f"\\{byte:03o}" for byte in reply)
    return ["sh", "-c", f"printf '{octal}'; exec sleep 30"]


VERSION = b"\0\0\0\5\2\0\0\0\3"


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (b"\0\0\0\5\2\0\0\0\6", "another version"),
        (b"\0\0\0\1\2", "impossible"),
        (b"\x7f\0\0\0\2", "impossible"),
        (b"Welcome to this machine!\n", "impossible"),
        (VERSION + b"\0\0\0\5\x69\0\0\0\x63", "no question"),
        (VERSION + b"\0\0\0\5\x67\0\0\0\1", "has the type"),
        (VERSION + b"\0\0\0\7\x65\0\0\0\1\0\0", "shorter"),
    ],
    ids=range(7),
)
def test_a_server_that_does_not_keep_to_the_protocol(stored: Path, sshd: Sshd, reply: bytes, why: str) -> None:
    place = target(sshd, stored)
    assert isinstance(place, SftpTarget)
    place._argv = program(reply)
    with pytest.raises(HostError, match=re.escape(why)):
        place.state(TEMPLATE)


def test_the_command_asks_nothing_and_accepts_no_unknown_key() -> None:
    argv = subsystem("sftp", "host", "user", 2222, Path("/k/id"), Path("/k/known hosts"))
    assert argv[0] == "ssh"
    assert argv[-4:] == ["-s", "--", "host", "sftp"]
    for option in (
        "BatchMode=yes", "StrictHostKeyChecking=yes", "User=user", "Port=2222", 'IdentityFile="/k/id"',
        "IdentitiesOnly=yes", 'UserKnownHostsFile="/k/known hosts"', "GlobalKnownHostsFile=/dev/null",
    ):  # fmt: skip
        assert f"-o{option}" in argv


@pytest.mark.parametrize("name", ['a"b', "a${HOME}b", "a\\b", "a\nb"])
def test_a_path_that_ssh_cannot_express(name: str) -> None:
    with pytest.raises(UsageError):
        subsystem("sftp", "host", identity_file=Path("/k") / name)


def test_what_ssh_says_becomes_one_line() -> None:
    error = failure("dc2", "Banner\nroot@h: Permission denied (publickey).\r\nConnection closed\x1b[31m\n")
    assert error.message == (
        "the connection to dc2 ended: root@h: Permission denied (publickey). | Connection closed\\x1b[31m"
    )
    assert failure("dc2", "").hint is None
