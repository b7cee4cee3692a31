"""Names of packages of the RHEL family, and the options of %packages."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from imagebuild import fetch
from imagebuild.kickstrap import index, payload
from imagebuild.kickstrap.agent import kickstart, package_files, package_names, packages, plan, supported
from imagebuild.kickstrap.agent.package_names import Counterpart
from imagebuild.kickstrap.bootstrap import PackagesUnknown
from imagebuild.kickstrap.mirror import host_mirror
from imagebuild.kickstrap.payload import PayloadSpec
from imagebuild.progress import SILENT, Progress

HEAD = 'clearpart --all\npart / --size=100\nurl --url="http://mirror.example/debian trixie main"\n'
LIMITS = fetch.Limits(connect=10.0, read=30.0, window=60.0, attempts=3, total=180.0)


def chosen(body: str, options: str = "") -> plan.Packages:
    found = plan.make(kickstart.read(f"{HEAD}%packages {options}\n{body}\n%end\n")).payload
    assert isinstance(found, plan.Packages)
    return found


def findings(body: str, options: str = "") -> list[tuple[int, str, str]]:
    text = f"{HEAD}%packages {options}\n{body}\n%end\n"
    return [(one.line, one.message, one.severity) for one in supported.check(kickstart.parse(text), text)]


def test_names_of_the_rhel_family_become_debians() -> None:
    assert set(chosen("kernel\nvim-enhanced\nbind-utils\nopenssh-server\nchrony").packages) == {
        "linux-image-amd64", "vim", "bind9-dnsutils", "openssh-server", "chrony",
    }  # fmt: skip
    assert chosen("perl-DBI\nperl-Net-SSLeay").packages == ("libdbi-perl", "libnet-ssleay-perl")
    assert chosen("kernel\nkernel-core\n-plymouth\n-vim-minimal").excluded == ("plymouth", "vim-tiny")


def test_groups() -> None:
    core = package_names.table()["@core"].packages
    assert {"linux-image-amd64", "grub-pc", "openssh-server"} <= set(core)
    for body in ("@core", "@Core", "@^minimal-environment\n@Core", "@core --nodefaults"):
        assert chosen(body).packages == core
    assert chosen("@Development Tools").packages == ("build-essential",)


def test_what_is_not_one_to_one_is_noted() -> None:
    body = "tar\n@base\nyum\n-@x11\n-iwl*-firmware"
    assert findings(body) == [
        (6, "%packages: @base has no counterpart in Debian: Debian's standard system is installed without --nocore",
            "warning"),
        (7, "%packages: yum has no counterpart in Debian: apt takes the place of yum", "warning"),
        (8, "%packages: -@x11 has no effect: it is not a Debian package", "warning"),
        (9, "%packages: -iwl*-firmware has no effect: it is not a Debian package", "warning"),
    ]  # fmt: skip
    assert chosen(body).packages == ("tar",)


def test_what_is_unknown_is_an_error_unless_it_may_be_missing() -> None:
    message = "%packages: SDL: Debian has no such package name"
    assert findings("tar\nSDL") == [(6, message, "error")]
    assert findings("tar\nSDL", "--ignoremissing") == [(6, message, "warning")]
    assert chosen("tar\nSDL", "--ignoremissing").packages == ("tar",)


def test_files_that_are_left_out() -> None:
    assert chosen("tar").left_out == ()
    docs = chosen("tar", "--excludedocs").left_out
    assert docs[0] == "path-exclude=/usr/share/doc/*"
    assert docs[-1] == "path-include=/usr/share/doc/*/copyright"
    some = chosen("tar", "--inst-langs=en_US.UTF-8:de").left_out
    assert some == (
        "path-exclude=/usr/share/locale/*",
        "path-include=/usr/share/locale/locale.alias",
        "path-include=/usr/share/locale/en_US/*",
        "path-include=/usr/share/locale/en/*",
        "path-include=/usr/share/locale/de/*",
    )
    command = packages.mmdebstrap_command(chosen("tar", "--excludedocs"), "/mnt")
    assert "--dpkgopt=path-exclude=/usr/share/doc/*" in command
    assert package_files.patterns(SimpleNamespace(excludeDocs=False, instLangs="../x"))[2:] == ()


def test_the_table_has_a_name_once_and_no_empty_reason() -> None:
    rows = [line.split("|") for line in package_names.data.lines("packages.txt")]
    assert len({row[0] for row in rows}) == len(rows)
    for name, debian, why in rows:
        assert debian.strip() or why.strip(), name
    assert package_names.counterpart("httpd") == Counterpart(("apache2",))
    assert package_names.counterpart("libc6:i386") == Counterpart(("libc6:i386",))


@pytest.mark.seconds
@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_debian_has_the_names_and_lacks_the_others(suite: str) -> None:
    mirror = host_mirror()
    names: set[str] = set()
    for folder in index.folders(mirror, suite, ("main",), "x86_64"):
        for block in index._index(folder, LIMITS):
            names |= set(re.findall(r"^Package: (\S+)", block, re.MULTILINE))
    table = package_names.table()
    assert {one for found in table.values() for one in found.packages} - names == set()
    assert set(table) & names == set()


def test_optional_and_excluded_names_that_do_not_exist_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def build(spec: PayloadSpec, _into: Path, _progress: Progress, _roots: object) -> None:
        asked.append((*spec.packages, *(f"{name}-" for name in spec.excluded)))
        # the base, whose only names are the excluded ones, is made first
        for names in (spec.excluded, asked[-1]):
            if unknown := [name for name in names if name.startswith("no-")]:
                raise PackagesUnknown(unknown, spec.suite)

    monkeypatch.setattr(payload, "_build", build)
    spec = PayloadSpec("trixie", packages=("tar", "no-such"), excluded=("no-other", "nano"), optional=True)
    payload.build(spec, tmp_path, SILENT)
    assert asked == [("tar", "no-such", "no-other-", "nano-"), ("tar", "no-such", "nano-"), ("tar", "nano-")]
    with pytest.raises(PackagesUnknown):
        payload.build(PayloadSpec("trixie", packages=("no-such",)), tmp_path, SILENT)
