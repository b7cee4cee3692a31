"""The host's Debian mirror, from apt's configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from imagebuild.errors import HostError
from imagebuild.kickstrap import mirror
from imagebuild.kickstrap.mirror import Mirror, host_mirror, keyring, parse_targets

MAIN = "Packages|Debian|Debian|bookworm|http://mirror.example/debian/"
UPDATES = "Packages|Debian|Debian|bookworm-updates|http://mirror.example/debian/"
SECURITY = "Packages|Debian|Debian-Security|bookworm-security|http://mirror.example/debian-security/"


def test_main_updates_and_security() -> None:
    assert parse_targets([MAIN, UPDATES, SECURITY]) == Mirror(
        "http://mirror.example/debian", "http://mirror.example/debian-security", updates=True
    )


def test_the_order_of_suites_does_not_matter() -> None:
    assert parse_targets([SECURITY, UPDATES, MAIN]) == parse_targets([MAIN, UPDATES, SECURITY])


def test_updates_of_another_mirror_are_ignored() -> None:
    other = "Packages|Debian|Debian|bookworm-updates|http://other.example/debian/"
    assert parse_targets([MAIN, other]) == Mirror("http://mirror.example/debian")


@pytest.mark.parametrize(
    "line",
    [
        "Packages|Ubuntu|Ubuntu|noble|http://mirror.example/ubuntu/",
        "Packages|Node Source|Node Source|nodistro|https://mirror.example/node/",
        "Packages|Debian|Debian|bookworm|cdrom://Debian 12/",
        "Packages|Debian|Debian|bookworm|copy:/srv/debian/",
        "Sources|Debian|Debian|bookworm|http://mirror.example/debian/",
        "Packages|Debian|Debian Backports|bookworm-backports|http://mirror.example/debian/",
        "Packages|Debian|Debian|bookworm-proposed-updates|http://mirror.example/debian/",
        "Packages||||http://mirror.example/flat/",
        "",
    ],
)
def test_other_archives_are_ignored(line: str) -> None:
    assert parse_targets([line]) == Mirror()


@pytest.mark.parametrize("uri", ["https://mirror.example/debian", "ftp://mirror.example/debian", "file:/srv/debian"])
def test_schemes(uri: str) -> None:
    assert parse_targets([f"Packages|Debian|Debian|sid|{uri}/"]).main == uri


def test_sources_name_all_suites_of_a_stable_release() -> None:
    text = Mirror("http://mirror.example/debian", "http://mirror.example/security", updates=True).sources(
        "trixie", ["main", "contrib"]
    )
    assert text == (
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie trixie-updates\nComponents: main contrib\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
        "\n"
        "Types: deb\nURIs: http://mirror.example/security\nSuites: trixie-security\nComponents: main contrib\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    )


def test_a_rolling_suite_has_neither_updates_nor_security() -> None:
    text = Mirror("http://mirror.example/debian", "http://mirror.example/security", updates=True).sources(
        "sid", ["main"]
    )
    assert text is not None
    assert "Suites: sid\n" in text
    assert "security" not in text


def test_without_a_mirror_mmdebstrap_chooses() -> None:
    assert Mirror().sources("trixie", ["main"]) is None


def _apt_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = tmp_path / "apt-get"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


@pytest.fixture(autouse=True)
def without_cached_mirror() -> Iterator[None]:
    host_mirror.cache_clear()
    yield
    host_mirror.cache_clear()


def test_host_mirror_asks_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _apt_get(tmp_path, monkeypatch, f'test "$1 $2" = "indextargets --format" && echo "{MAIN}"')
    assert host_mirror() == Mirror("http://mirror.example/debian")


@pytest.mark.parametrize("script", ["exit 100", "echo 'E: The list of sources could not be read.'; exit 100", "exit 0"])
def test_a_host_whose_apt_has_no_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    _apt_get(tmp_path, monkeypatch, script)
    assert host_mirror() == Mirror()


def test_the_keyring_is_installed() -> None:
    assert keyring().is_file()


def test_a_missing_keyring_is_reported_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "_KEYRING", Path("/nonexistent/keys.gpg"))
    with pytest.raises(HostError) as caught:
        keyring()
    assert "debian-archive-keyring" in str(caught.value.hint)
