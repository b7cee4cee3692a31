"""Packages or an image from an address that proves nothing.

What comes over http, ftp or nfs can be changed on its way, and no option of `url` or `repo` has the packages' signatures
checked: whoever sits in between installs what he likes. So does whoever answers when `--noverifyssl` is given. Write https; for `liveimg`
`--checksum`; for a repository `--metalink` by https, which brings checksums. What a build proves by itself is no finding: a
folder or an ISO of the recipe, and whatever the recipe accepts with `insecure: true`. Nor is a Debian mirror of
kickstrap's (`url --url="http://mirror suite components"`): apt and mmdebstrap check the archive's signature, and by it the
digest of each package.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.parse import Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "error"
_UNPROVED = ("http://", "ftp://", "nfs:", "nfs://")
_HINT = "write an https address"


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """Every source of packages or of an image that is reached in clear, or whose certificate is not looked at."""
    if target.insecure:
        return
    for command in kickstart.named("url", "repo", "liveimg", "ostreesetup", "nfs"):
        if target.proves_packages and command.name in ("url", "repo"):
            continue
        if command.name == "liveimg" and command.option("--checksum"):
            continue
        if command.has("--noverifyssl"):
            yield Said(
                command.line, f"{command.name} --noverifyssl takes packages from whoever answers", "leave it out"
            )
            continue
        if command.name == "nfs":
            yield Said(command.line, "nfs proves nothing of what it brings", _HINT)
        address = command.option("--url", "--baseurl", "--mirrorlist", "--metalink")
        if address and address.lower().startswith(_UNPROVED) and address not in target.trusted:
            hint = f"{_HINT}, or the digest with --checksum" if command.name == "liveimg" else _HINT
            yield Said(
                command.line, f"{command.name} takes from an address that proves nothing, and no checksum does", hint
            )
        if command.name == "ostreesetup" and command.has("--nogpg"):
            yield Said(command.line, "ostreesetup --nogpg checks no signature", "leave --nogpg out")
