"""A night over real libvirt hosts: the canary first, signed images, an older version that nobody removed yet."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.nightly.nightly_site import PACKAGES, NightlySite, of, words
from tests.publish.fleet import FleetHost, fleet

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

CHECK = """\
#!/bin/sh
echo "$IMAGEBUILD_HOST $IMAGEBUILD_TEMPLATE $IMAGEBUILD_VERSION" >> checked
test ! -e refuse
"""


def project(hosts: list[FleetHost], key: str) -> str:
    lines = ["hosts:"]
    for host in hosts:
        about = f"uri: '{host.uri}', identity_file: {host.identity}, known_hosts_file: {host.known_hosts}"
        lines.append(f"  {host.name}: {{{about}}}")
    return "\n".join(
        [
            *lines,
            "trust:",
            "  sign: {key: {file: key}}",
            f"  keys: [{{name: night, key: '{key}'}}]",
            "nightly:",
            "  if_changed: false",
            "  gates: [package-removed]",
            f"  publish: {{to: [all], unverified: true, canary: {hosts[0].name}, canary_check: ./check}}",
            "  keep: {versions: 2, templates: 1}",
            "",
        ]
    )


def current(host: FleetHost) -> str:
    """The version that is current on a host: its definition names the image."""
    found = re.search(r"<source file='[^']*/alpha--([0-9.-]+)--", host.virsh("dumpxml", "alpha", "--inactive"))
    return found[1] if found else ""


def images(host: FleetHost) -> set[str]:
    return {word[:12] for word in host.virsh("vol-list", "default").split("alpha--")[1:]}


def test_nights_over_two_hosts(site: NightlySite, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "imagebuild", "attest", "--new-key", "key"]
    said = subprocess.run(argv, check=True, capture_output=True, text=True, cwd=site.folder).stdout
    key = "ssh-ed25519 " + said.partition("ssh-ed25519 ")[2].split()[0]
    (site.folder / "check").write_text(CHECK)
    (site.folder / "check").chmod(0o755)
    (tmp_path / "fleet").mkdir()
    with fleet(2, folder=tmp_path / "fleet") as hosts:
        site.write("alpha")
        (site.folder / "imagebuild.yaml").write_text(project(hosts, key))
        first = site.run()
        assert not of(first, "alpha").failed
        assert words(first, "alpha")["sign"] == "passed"
        assert [current(host) for host in hosts] == ["2026-11-29.1"] * 2
        assert (site.folder / "checked").read_text() == f"{hosts[0].name} alpha 2026-11-29.1\n"

        # the canary of the next version is refused: both hosts have the version before
        site.change("alpha", "2")
        (site.folder / "refuse").touch()
        second = site.run()
        assert (second.exit_code, words(second, "alpha")["publish"]) == (1, "failed")
        assert [current(host) for host in hosts] == ["2026-11-29.1"] * 2

        # it is published as soon as the check accepts it, and not built again
        (site.folder / "refuse").unlink()
        third = site.run()
        assert (third.exit_code, site.built, of(third, "alpha").good) == (0, [], "2026-11-29.2")
        assert [current(host) for host in hosts] == ["2026-11-29.2"] * 2

        # one host is away; the other gets what passed its gates, and the next run completes it
        site.change("alpha", "3")
        site.packages["alpha"] = {**PACKAGES, "vim": "2:9.2"}
        hosts[1].cut()
        fourth = site.run()
        assert (fourth.exit_code, words(fourth, "alpha")["publish"]) == (1, "failed")
        assert current(hosts[0]) == "2026-11-29.3"
        hosts[1].mend()
        fifth = site.run()
        assert (fifth.exit_code, site.built) == (0, [])
        assert [current(host) for host in hosts] == ["2026-11-29.3"] * 2
        assert images(hosts[0]) == {"2026-11-29.3"}  # older ones were removed, as `keep` says
        published = json.loads((site.folder / "reports/nightly.json").read_text())["images"][0]["targets"]
        assert [one["current"] for one in published] == [True, True]
