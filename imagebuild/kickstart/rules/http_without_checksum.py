"""Packages or an image come from an address without any verification.

Data that is fetched over http, ftp or nfs can be modified in transit, and no option of `url` or
`repo` enables the verification of package signatures: a man in the middle can install anything.
With `--noverifyssl`, so can anybody who answers the request. Use https; for `liveimg`,
`--checksum`; for a repository, `--metalink` over https, which provides checksums. What the build
verifies itself is not reported: a folder or an ISO of the recipe, and anything that the recipe
accepts with `insecure: true`. The same holds for what the installer runs or loads before it
installs: `updates`, `driverdisk`, and files that `%include` and `%ksappend` fetch; and for
`ostreesetup` and `ostreecontainer` without the verification of signatures. Neither is a Debian mirror for kickstrap
(`url --url="http://mirror suite components"`): apt and mmdebstrap verify the archive's signature,
and through it the digest of each package.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.parsed import Command, Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "error"
_UNVERIFIED = ("http://", "ftp://", "nfs:", "nfs://")
_HINT = "use an https address"
_ADDRESSES = ("--url", "--baseurl", "--mirrorlist", "--metalink", "--source", "--source-imgref")
_COMMANDS = ("url", "repo", "liveimg", "ostreesetup", "ostreecontainer", "nfs", "updates", "driverdisk", "bootc")
_UNSIGNED = ("--nogpg", "--no-signature-verification")


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """Every source of packages or of an image that is unencrypted, or whose certificate is not
    verified.
    """
    if target.insecure:
        return
    for command in kickstart.named(*_COMMANDS):
        if target.proves_packages and command.name in ("url", "repo"):
            continue
        if command.name == "liveimg" and command.option("--checksum"):
            continue
        yield from _unverified(command, target)
    for line, text in kickstart.includes():
        words = text.split()
        if len(words) > 1 and _is_unverified(words[1].strip("\"'"), target):
            message = f"{words[0]} fetches a part of the kickstart from an address that is not verified"
            yield Said(line, message, _HINT)


def _unverified(command: Command, target: KickstartTarget) -> Iterator[Said]:
    if command.has("--noverifyssl"):
        yield Said(command.line, f"{command.name} --noverifyssl accepts packages from any server", "remove it")
        return
    if command.name == "nfs":
        yield Said(command.line, "nfs does not verify what it transfers", _HINT)
    address = command.words[-1] if command.name == "updates" and len(command.words) > 1 else None
    address = command.option(*_ADDRESSES) or address
    if address and _is_unverified(str(address), target):
        hint = f"{_HINT}, or the digest with --checksum" if command.name == "liveimg" else _HINT
        yield Said(command.line, f"{command.name} uses an address that is not verified, and has no checksum", hint)
    for option in _UNSIGNED:
        if command.has(option):
            yield Said(command.line, f"{command.name} {option} does not verify signatures", f"remove {option}")


def _is_unverified(address: str, target: KickstartTarget) -> bool:
    return address.lower().startswith(_UNVERIFIED) and address not in target.trusted
