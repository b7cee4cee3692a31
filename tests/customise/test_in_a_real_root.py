"""Programs of the guest in a real root: scripts, and packages from a folder of the host with the
package manager of each family."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from imagebuild.customise import registry
from imagebuild.customise.operation import OperationCall
from imagebuild.customise.runner import apply_one
from imagebuild.errors import GuestError
from imagebuild.guest import opened
from imagebuild.host.process import run as run_program
from imagebuild.recipe import host_inputs
from imagebuild.schema.customised import OperationResult
from imagebuild.schema.document import Mark
from tests import debian_root

pytestmark = pytest.mark.guestfs

REPOSITORY = "repository"
THE_HOST = "169.254.2.2"
"""The address of the host's loopback interface in the libguestfs appliance."""
DEBS = {
    "greeter": "Depends: greeting-data\nProvides: says-hello\n",
    "greeting-data": "Multi-Arch: foreign\n",
    "broken": "Depends: no-such-package\n",
}
SPEC = """\
Name: greeter
Version: 1.0
Release: 1
Summary: says hello
License: GPL-2.0-or-later
BuildArch: noarch
Requires: greeting-data
%description
Says hello.
%package -n greeting-data
Summary: the words
%description -n greeting-data
The words.
%install
mkdir -p %{buildroot}/usr/share/greeting
echo hello >%{buildroot}/usr/share/greeting/words
%files
%files -n greeting-data
/usr/share/greeting/words
"""


@contextmanager
def serving(content: bytes) -> Iterator[int]:
    """The port of a server on the loopback that answers everything with ``content``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


class Guest:
    """A disk to work on, in a folder with the files of a recipe."""

    def __init__(self, disk: Path, folder: Path) -> None:
        self.disk = disk
        self.folder = folder
        self.work = folder / "work"
        self.work.mkdir()

    def call(self, name: str, **params: object) -> OperationCall:
        mark = Mark(str(self.folder / "recipe.yaml"), 1, 1)
        return host_inputs.with_paths(registry.call(name, params), lambda _: mark)

    def install(self, *names: str) -> OperationCall:
        return self.call("install-packages", packages=names, repository=REPOSITORY)

    def applied(self, *calls: OperationCall) -> list[OperationResult]:
        """What each of ``calls`` did, in a separate appliance."""
        with self.opened() as apply:
            return [apply(call) for call in calls]

    @contextmanager
    def opened(self, *, network: bool = False) -> Iterator[Callable[[OperationCall], OperationResult]]:
        """Yields a function that applies an operation, in an appliance that continues after a
        failure."""
        with opened(self.disk, "raw", accel="tcg", tmpdir=self.work, network=network) as disk:
            yield lambda call: apply_one(disk, call)


@pytest.fixture
def guest(debian: Path, tmp_path: Path) -> Guest:
    """Debian with apt, in a separate copy."""
    return Guest(debian, tmp_path)


def command(text: str) -> OperationCall:
    return registry.call("run-command", {"command": text})


def changes(result: OperationResult) -> dict[str, str]:
    return {change.path: change.what for change in result.changes}


def test_scripts_and_the_network(guest: Guest) -> None:
    (guest.folder / "setup.sh").write_text('#!/bin/bash\ntest "$1 $HOME" = "one /root" && echo made >/etc/made\n')
    (guest.folder / "bad.sh").write_text("#!/bin/sh\necho this went wrong >&2\nexit 3\n")
    with serving(b"hello") as port, guest.opened(network=True) as apply:
        fetch = f"exec 3<>/dev/tcp/{THE_HOST}/{port}; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; grep -q hello <&3"
        script = apply(guest.call("run-script", file="setup.sh", arguments=["one"]))
        apply(command("grep -q made /etc/made && ! find / -xdev -name '*imagebuild*' | grep ."))
        fetched = apply(guest.call("run-command", command=["bash", "-ec", fetch], network=True))
        assert changes(script) == {"/": "ran setup.sh"}
        assert fetched.status == "changed"
        with pytest.raises(GuestError, match=r"run-command: bash failed in the guest: .*[Nn]etwork is unreachable"):
            apply(guest.call("run-command", command=["bash", "-ec", fetch]))
        with pytest.raises(GuestError, match=r"run-script: /.*/bad\.sh failed in the guest: this went wrong"):
            apply(guest.call("run-script", file="bad.sh"))


def test_apt(guest: Guest, tmp_path: Path) -> None:
    repository = tmp_path / REPOSITORY
    repository.mkdir()
    for name, fields in DEBS.items():
        control = tmp_path / name / "DEBIAN/control"
        control.parent.mkdir(parents=True)
        control.write_text(
            f"Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\n"
            f"{fields}Description: {name}\n"
        )
        run_program(["dpkg-deb", "--root-owner-group", "--build", tmp_path / name, repository], timeout=60)
    state = "find /var/lib/apt /var/cache/apt /etc/apt -type f ! -name extended_states | xargs sha256sum"
    with guest.opened() as apply:
        apply(command(f"{state} >/before"))
        done = apply(guest.install("greeter"))
        apply(command("sha256sum --quiet --check /before && ! find / -xdev -name '*imagebuild*' | grep ."))
        assert changes(done) == {"package greeter": "installed 1.0", "package greeting-data": "installed 1.0"}
        assert apply(guest.install("greeter")).status == "nothing to do"
        with pytest.raises(GuestError, match=r"install-packages: apt-get failed in the guest: .*no-such-package"):
            apply(guest.install("broken"))


@pytest.mark.slow
def test_dnf_and_zypper(tmp_path: Path) -> None:
    """Debian has packages of both; a guest without dpkg's status counts as an rpm guest."""
    (tmp_path / "greeter.spec").write_text(SPEC)
    repository = tmp_path / REPOSITORY
    root = debian_root.archive(
        tmp_path,
        "--include=dnf,zypper,rpm,createrepo-c",
        f"--customize-hook=copy-in {tmp_path}/greeter.spec /root",
        '--customize-hook=chroot "$1" sh -ec \'rpmbuild -bb --define "_topdir /root/rpm" /root/greeter.spec; '
        "createrepo_c /root/rpm/RPMS/noarch'",
        f"--customize-hook=copy-out /root/rpm/RPMS/noarch {tmp_path}",
        '--customize-hook=rm "$1/var/lib/dpkg/status"',
        '--customize-hook=chroot "$1" rpm --initdb',
    )
    (tmp_path / "noarch").rename(repository)
    expected = {"package greeter": "installed 1.0-1", "package greeting-data": "installed 1.0-1"}
    guest = Guest(debian_root.disk(root, tmp_path), tmp_path)
    zypper, _, dnf, _ = guest.applied(
        guest.install("greeter"),
        command("rpm -e greeter greeting-data; rm /usr/bin/zypper"),
        guest.install("greeter"),
        command("rpm -e greeter; ! find / -xdev -name '*imagebuild*' | grep ."),
    )
    assert changes(zypper) == changes(dnf) == expected
    (repository / "repodata/repomd.xml").unlink()
    with pytest.raises(GuestError, match="has no package index that dnf could read"):
        guest.applied(guest.install("greeter"))
