"""The root archive on the host: mmdebstrap's command line, messages about its failures, the bytes."""

from __future__ import annotations

import hashlib
import io
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from imagebuild.customise.linux import dpkg
from imagebuild.errors import CommandFailed, HostError, ImageBuildError
from imagebuild.kickstrap import bootstrap, payload, scratch
from imagebuild.kickstrap.bootstrap import Bootstrap, PackagesUnknown
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.kickstrap.payload import PayloadSpec
from imagebuild.progress import SILENT

SPEC = Bootstrap("trixie", Mirror("http://mirror.example/debian"), ("main", "contrib"), "minbase", ("vim", "nano-"))
STATUS = """\
Package: bash
Status: install ok installed
Version: 5.2.37-2
Description: a shell
 Version: not this one

Package: gone
Status: deinstall ok config-files
Version: 1.0

Package: apt
Status: install ok installed
Version: 3.0.3
"""


def test_the_command_line() -> None:
    argv = bootstrap.command(SPEC, Path("/store/root.tar"), Path("/s/debian.sources"), Path("/keys.gpg"), "unshare")
    assert argv[0] == "mmdebstrap"
    assert argv[-3:] == ["trixie", "/store/root.tar", "/s/debian.sources"]
    assert "--mode=unshare" in argv
    assert "--variant=minbase" in argv
    assert "--include=vim,nano-" in argv
    assert "--components=main,contrib" in argv
    assert "--keyring=/keys.gpg" in argv


def test_a_dated_mirror_may_have_expired_but_must_be_signed() -> None:
    dated = Bootstrap("trixie", Mirror("http://mirror.example/debian", dated=True))
    plain = Bootstrap("trixie", Mirror("http://mirror.example/debian"))
    lines = [
        bootstrap.command(spec, Path("/store/root.tar"), Path("/s/debian.sources"), Path("/keys.gpg"), "root")
        for spec in (dated, plain)
    ]
    assert [word for word in lines[0] if word not in lines[1]] == ['--aptopt=Acquire::Check-Valid-Until "false"']
    assert "--keyring=/keys.gpg" in lines[0]


def test_without_a_mirror_none_is_named() -> None:
    argv = bootstrap.command(Bootstrap("trixie"), Path("/store/root.tar"), None, Path("/keys.gpg"), "root")
    assert argv[-2:] == ["trixie", "/store/root.tar"]
    assert not any(word.startswith("--include") for word in argv)


@pytest.mark.parametrize(
    ("output", "kind", "says"),
    [
        ("E: Unable to locate package vmi\nE: Unable to locate package htpo\n", PackagesUnknown, "htpo, vmi"),
        ("E: Package 'telnetd' has no installation candidate", PackagesUnknown, "no package telnetd"),
        ("Err:1 http://mirror.example Could not resolve 'mirror.example'", HostError, "cannot reach http://mirror"),
        ("Could not connect to mirror.example:80 (192.0.2.1), connection timed out", HostError, "cannot reach"),
        ("E: The repository 'x trixie Release' does not have a Release file.", HostError, "has no Debian trixie"),
        (
            "E: Release file for http://mirror.example/InRelease is expired (invalid since 24d 5h 26min 51s)",
            HostError,
            "http://mirror.example/debian has expired: the mirror is behind by 24d 5h 26min",
        ),
        ("404  Not Found [IP: 192.0.2.1 80]", HostError, "has no Debian trixie"),
        ("W: GPG error: NO_PUBKEY 6ED0E7B82643E131", HostError, "cannot verify the archive"),
        ("tar: write error: No space left on device", HostError, "no space left"),
        ("E: newuidmap 12 0 1000 1 failed: ", HostError, "ordinary user"),
    ],
)
def test_messages_about_failures_of_mmdebstrap(output: str, kind: type[ImageBuildError], says: str) -> None:
    explained = bootstrap.explain(CommandFailed("mmdebstrap ended", command="mmdebstrap", output=output), SPEC)
    assert isinstance(explained, kind)
    assert says in explained.message
    assert explained.hint


def test_an_unknown_failure_is_unchanged() -> None:
    error = CommandFailed("unshare ended with exit status 2", command="unshare", output="E: something new", hint="h")
    explained = bootstrap.explain(error, SPEC)
    assert isinstance(explained, CommandFailed)
    assert (explained.message, explained.output, explained.hint) == (
        "mmdebstrap ended with exit status 2",
        "E: something new",
        "h",
    )


def test_installed_packages() -> None:
    assert dpkg.versions(STATUS) == {"apt": "3.0.3", "bash": "5.2.37-2"}


@pytest.mark.parametrize(("size", "padded"), [(0, 0), (1, 512), (512, 512), (513, 1024)])
def test_archives_are_whole_sectors(tmp_path: Path, size: int, padded: int) -> None:
    archive = tmp_path / "root.tar"
    archive.write_bytes(b"x" * size)
    payload.pad(archive)
    assert archive.read_bytes() == b"x" * size + bytes(padded - size)


def _fake_mmdebstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """An ``mmdebstrap`` that runs ``script`` with the target in $target."""
    program = tmp_path / "bin" / "mmdebstrap"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nfor word; do case $word in *.tar) target=$word ;; esac; done\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def _tar(path: Path, name: str, text: str) -> None:
    with tarfile.open(path, "w") as out:
        member = tarfile.TarInfo(name)
        member.size = len(text)
        out.addfile(member, io.BytesIO(text.encode()))


def test_the_result_contains_digest_and_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _tar(tmp_path / "made", "./var/lib/dpkg/status", STATUS)
    _fake_mmdebstrap(tmp_path, monkeypatch, f'echo "$@" > {tmp_path}/argv; cp {tmp_path}/made "$target"')
    spec = PayloadSpec("trixie", packages=("vim",), excluded=("nano",))
    result = payload.build(spec, tmp_path / "into", SILENT)
    assert result.path == tmp_path / "into" / "root.tar"
    assert result.sha256 == hashlib.sha256(result.path.read_bytes()).hexdigest()
    assert result.packages == {"apt": "3.0.3", "bash": "5.2.37-2"}
    assert payload.read(tmp_path / "into") == payload.verified(tmp_path / "into") == result
    assert result.path.stat().st_mode & 0o777 == 0o644
    argv = (tmp_path / "argv").read_text()
    assert "--include=vim,nano-" in argv
    assert "--variant=required" in argv
    assert 'Install-Recommends "false"' in argv
    assert sorted(path.name for path in (tmp_path / "into").iterdir()) == ["payload.json", "root.tar"]
    with result.path.open("r+b") as file:
        file.write(b"damaged")
    with pytest.raises(ImageBuildError, match=r"root\.tar is damaged: its SHA-256 digest is"):
        payload.verified(tmp_path / "into")


def test_the_standard_system_and_recommended_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _tar(tmp_path / "made", "./var/lib/dpkg/status", STATUS)
    _fake_mmdebstrap(tmp_path, monkeypatch, f'echo "$@" > {tmp_path}/argv; cp {tmp_path}/made "$target"')
    payload.build(PayloadSpec("trixie", core=True, weak_dependencies=True), tmp_path / "into", SILENT)
    argv = (tmp_path / "argv").read_text()
    assert "--variant=important" in argv
    assert 'Install-Recommends "true"' in argv


def test_an_archive_without_dpkg_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _tar(tmp_path / "made", "./etc/os-release", "")
    _fake_mmdebstrap(tmp_path, monkeypatch, f'cp {tmp_path}/made "$target"')
    with pytest.raises(ImageBuildError, match="does not contain a Debian system"):
        payload.build(PayloadSpec("trixie"), tmp_path / "into", SILENT)


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_mmdebstrap(
        tmp_path,
        monkeypatch,
        'echo half > "$target"; touch "$TMPDIR/left"; echo "E: Unable to locate package vmi"; exit 25',
    )
    with pytest.raises(PackagesUnknown):
        payload.build(PayloadSpec("trixie", packages=("vmi",)), tmp_path / "into", SILENT)
    assert list((tmp_path / "into").iterdir()) == []


def test_the_mirror_is_passed_in_a_world_readable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _tar(tmp_path / "made", "./var/lib/dpkg/status", STATUS)
    _fake_mmdebstrap(
        tmp_path,
        monkeypatch,
        f'for last; do :; done; cat "$last" > {tmp_path}/sources; stat -c %a "$TMPDIR" "$last" > {tmp_path}/modes\n'
        f'cp {tmp_path}/made "$target"',
    )
    payload.build(PayloadSpec("trixie", Mirror("http://mirror.example/debian")), tmp_path / "into", SILENT)
    assert "URIs: http://mirror.example/debian\n" in (tmp_path / "sources").read_text()
    assert (tmp_path / "modes").read_text().split() == ["755", "644"]


def test_what_does_not_fit_in_memory_is_made_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root, who may mount."""
    _tar(tmp_path / "made", "./var/lib/dpkg/status", STATUS)
    _fake_mmdebstrap(
        tmp_path,
        monkeypatch,
        f'if mountpoint --quiet "$TMPDIR"; then stat -f -c %T "$TMPDIR" > {tmp_path}/kind\n'
        f'echo "tar: No space left on device"; exit 2; fi; cp {tmp_path}/made "$target"',
    )
    monkeypatch.setattr(scratch, "has_memory", lambda: True)
    bootstrap.make(SPEC, tmp_path / "root.tar", SILENT)
    assert (tmp_path / "kind").read_text() == "tmpfs\n"
    assert payload.installed(tmp_path / "root.tar") == {"apt": "3.0.3", "bash": "5.2.37-2"}
    assert str(tmp_path) not in Path("/proc/mounts").read_text()


def test_it_continues_from_an_archive_with_its_package_lists() -> None:
    spec = replace(SPEC, over=Path("/store/a b/root.tar"), lists=Path("/store/base.tar"))
    argv = bootstrap.command(spec, Path("root.tar"), None, Path("keys.gpg"), "root")
    first, second = [word for word in argv if word.startswith("--setup-hook=tar ")]
    assert first.endswith("--exclude='./dev/*' --exclude=./etc/apt/sources.list.d --file '/store/a b/root.tar'")
    assert second.endswith("--file /store/base.tar ./var/lib/apt/lists")
    assert "--skip=update" in argv
    assert "--skip=cleanup/apt/lists" not in argv


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_mmdebstrap_leaves_no_mounts_and_no_files(tmp_path: Path, signum: signal.Signals) -> None:
    into = tmp_path / "into"
    code = (
        "import signal, sys; from pathlib import Path; from imagebuild.kickstrap import mirror, payload\n"
        "from imagebuild.progress import SILENT\n"
        "for signum in (signal.SIGINT, signal.SIGTERM): signal.signal(signum, signal.default_int_handler)\n"
        "class Tell:\n"
        "    def update(self, detail='', fraction=None): print(detail, flush=True)\n"
        "    def summary(self, text): pass\n"
        "payload.build(payload.PayloadSpec('trixie', mirror.host_mirror()), Path(sys.argv[1]), Tell())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, into], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("installing packages"):
                break
        time.sleep(1)
        process.send_signal(signum)
        assert process.wait(60) != 0
    assert str(tmp_path) not in Path("/proc/mounts").read_text()
    assert list(into.iterdir()) == []
