"""Packages or an image come from an address without any verification.

Data that is fetched over http, ftp or nfs can be modified in transit, and no option of `url` or
`repo` enables the verification of package signatures: a man in the middle can install anything.
With `--noverifyssl`, so can anybody who answers the request. Use https; for `liveimg`,
`--checksum`; for a repository, `--metalink` over https, which provides checksums. What the build
verifies itself is not reported: a folder or an ISO of the recipe, and anything that the recipe
accepts with `insecure: true`. Neither is a Debian mirror for kickstrap
(`url --url="http://mirror suite components"`): apt and mmdebstrap verify the archive's signature,
and through it the digest of each package.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.parse import Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "error"
_UNVERIFIED = ("http://", "ftp://", "nfs:", "nfs://")
_HINT = "use an https address"


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """Every source of packages or of an image that is unencrypted, or whose certificate is not
    verified.
    """
    if target.insecure:
        return
    for command in kickstart.named("url", "repo", "liveimg", "ostreesetup", "nfs"):
        if target.proves_packages and command.name in ("url", "repo"):
            continue
        if command.name == "liveimg" and command.option("--checksum"):
            continue
        if command.has("--noverifyssl"):
            yield Said(command.line, f"{command.name} --noverifyssl accepts packages from any server", "remove it")
            continue
        if command.name == "nfs":
            yield Said(command.line, "nfs does not verify what it transfers", _HINT)
        address = command.option("--url", "--baseurl", "--mirrorlist", "--metalink")
        if address and address.lower().startswith(_UNVERIFIED) and address not in target.trusted:
            hint = f"{_HINT}, or the digest with --checksum" if command.name == "liveimg" else _HINT
            yield Said(command.line, f"{command.name} uses an address that is not verified, and has no checksum", hint)
        if command.name == "ostreesetup" and command.has("--nogpg"):
            yield Said(command.line, "ostreesetup --nogpg does not verify signatures", "remove --nogpg")
