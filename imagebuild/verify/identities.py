"""What makes one machine different from another, collected in a booted clone, and compared between
two.

Known identities are compared by their digests. Besides, everything that a clone wrote below /etc
and /var since it booted is searched for values that look random: a value that two clones share was
not made by them.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import log2

from imagebuild.contents.inventory import Inventory
from imagebuild.verify.check import NotCheckable, Printed

KNOWN: Mapping[str, tuple[str, ...]] = {
    "machine id": ("/etc/machine-id",),
    "D-Bus machine id": ("/var/lib/dbus/machine-id",),
    "SSH host key": ("/etc/ssh/ssh_host_*_key", "/etc/dropbear/*_host_key"),
    "random seed": (
        "/var/lib/systemd/random-seed", "/var/lib/random-seed", "/var/lib/urandom/random-seed",
        "/var/lib/misc/random-seed", "/boot/efi/loader/random-seed", "/boot/loader/random-seed",
    ),
    "key of systemd-creds": ("/var/lib/systemd/credential.secret",),
    "DHCP DUID": (
        "/var/lib/dhcpcd*/duid", "/etc/dhcpcd.duid", "/var/lib/dhcp*/*6.leases",
        "/var/lib/NetworkManager/dhclient*6.lease",
    ),
    "dhcpcd secret": ("/var/lib/dhcpcd*/secret",),
    "iSCSI initiator name": ("/etc/iscsi/initiatorname.iscsi",),
    "NVMe host NQN": ("/etc/nvme/hostnqn",),
    "NVMe host id": ("/etc/nvme/hostid",),
    "host id": ("/etc/hostid",),
    "NetworkManager secret": ("/var/lib/NetworkManager/secret_key",),
    "cloud-init instance": ("/var/lib/cloud/data/instance-id",),
    "snakeoil key": ("/etc/ssl/private/ssl-cert-snakeoil.key",),
}  # fmt: skip
"""Shell patterns of the files that hold an identity."""
SEEDS = KNOWN["random seed"]
"""Files that a guest uses up when it boots, so that only the image itself shows whether it has one."""
_NO_IDENTITY = frozenset({
    "/etc/ld.so.cache", "/var/cache/ldconfig/aux-cache", "/var/lib/systemd/catalog/database", "/etc/udev/hwdb.bin",
    "/var/log/wtmp", "/var/log/btmp", "/var/log/lastlog", "/etc/resolv.conf", "/etc/.updated", "/var/.updated",
    "/etc/shadow", "/etc/shadow-",
})  # fmt: skip
"""Files that a guest derives from the image or from the network. The hashes of passwords are the recipe's;
the first account that is added at a boot writes them again."""
_LOGS = "/var/log/"
"""Logs repeat what is equal everywhere, such as the digests of the kernel's certificates."""
_LARGEST = 256 << 10
_BLOCK = 512
_ARCHIVE = 64 << 20
"""Bytes of an unpacked archive that are read."""
_UUID = re.compile(rb"(?<![0-9a-fA-F])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![0-9a-fA-F])")
_TOKEN = re.compile(rb"[0-9a-fA-F]{16,}(?![A-Za-z0-9+/_-])|[A-Za-z0-9+/_-]{22,}={0,2}")
_PEM_BEGIN = re.compile(rb"-----BEGIN [A-Z0-9 ]{1,60}-----")
_PEM_END = re.compile(rb"-----END [A-Z0-9 ]{1,60}-----")
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_COMPRESSED = (b"\x1f\x8b", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"BZh")
_PLACEHOLDERS = frozenset({"localhost", "localhost.localdomain", "(none)", "debian", "ubuntu", "fedora", "linux"})

PROBES: Mapping[str, str] = {
    "identities": "for f in "
    + " ".join(pattern for patterns in KNOWN.values() for pattern in patterns)
    + '; do [ -f "$f" ] && [ -s "$f" ] && set -- "$@" "$f"; done; [ $# = 0 ] || sha256sum -- "$@"',
    "hostname": "cat /proc/sys/kernel/hostname",
    "values of the image": "lsblk -rno UUID,PARTUUID,PTUUID 2>/dev/null; cat /proc/cmdline",
    "changed files": "begin=$(sed -n 's/^btime //p' /proc/stat); "
    'find /etc /var -xdev -type f -newerct "@$((begin - 2))" -size -257k '
    "! -path '/var/log/journal/*' -print0 | tar -c --format=gnu --null -T - -f - 2>/dev/null | gzip -1 | base64",
}
"""Commands for a clone that has booted; see :mod:`imagebuild.verify.probe`."""


@dataclass(frozen=True)
class CloneState:
    """The identities of one booted clone.

    ``known`` has the digest of each file of KNOWN that is there, by path; ``changed`` the content
    of the files below /etc and /var that were written since it booted; ``sent`` what it sent in
    DHCP requests; ``of_image`` are values that all clones have, such as the UUID of the root file
    system.
    """

    known: Mapping[str, str]
    changed: Mapping[str, bytes]
    hostname: str
    sent: Mapping[str, str] = field(default_factory=dict)
    of_image: frozenset[bytes] = frozenset()
    """In lower case."""


def seeds(inventory: Inventory) -> list[str]:
    """The random seeds in an image."""
    return [one.path for one in inventory.files if one.path in SEEDS and one.kind == "f" and one.size]


def state(seen: Mapping[str, Printed], sent: Mapping[str, str]) -> CloneState:
    """The identities in the outputs of PROBES. Raises NotCheckable if the guest did not print them."""
    known = dict(_digests(seen["identities"]))
    files = dict(_files(seen["changed files"].text))
    if not known:
        raise NotCheckable("the identities of the clones could not be read")
    values = frozenset(_words(seen["values of the image"].text.lower().encode()))
    return CloneState(known, files, seen["hostname"].text.strip(), sent, values)


def shared(first: CloneState, second: CloneState, hostname: str | None = None) -> Iterator[str]:
    """A sentence for each identity that two clones share. ``hostname`` is the one that the recipe
    gives to all of them.
    """
    told: set[str] = set()
    for path in sorted(first.known.keys() & second.known.keys()):
        if first.known[path] == second.known[path]:
            told.add(path)
            yield f"{path}: both clones have the same {_kind(path)}"
    for name in sorted(first.sent.keys() & second.sent.keys()):
        if first.sent[name] == second.sent[name]:
            yield f"both clones send the same {name}, {first.sent[name]}"
    names = {first.hostname, second.hostname}
    if len(names) == 1 and not names & {"", hostname, *_PLACEHOLDERS}:
        yield f"both clones have the hostname {first.hostname}"
    yield from _shared_values(first, second, told)


def _shared_values(first: CloneState, second: CloneState, told: set[str]) -> Iterator[str]:
    """Values that look random, in files that both clones wrote."""
    here, there = dict(_random_values(first)), dict(_random_values(second))
    by_file: dict[str, str] = {}
    for value in sorted(here.keys() & there.keys()):
        if here[value] not in told:
            by_file.setdefault(here[value], there[value])
    for path, other in sorted(by_file.items()):
        where = "" if other == path else f", in {other} of the other"
        yield f"{path}: both clones hold the same random-looking value, written at their first boot{where}"


def _random_values(clone: CloneState) -> Iterator[tuple[str, str]]:
    """A digest of each value that looks random, and the path of its file."""
    for path, content in clone.changed.items():
        if path in _NO_IDENTITY or path.startswith(_LOGS) or content.startswith(_COMPRESSED):
            continue
        if not _is_text(content):
            values = [content] if _looks_random(content) else []
        else:
            keys, rest = _without_keys(content)
            values = [one for one in _words(rest) if _is_random_token(one) and one.lower() not in clone.of_image]
            values += keys
        yield from ((hashlib.sha256(value).hexdigest(), path) for value in values)


def _without_keys(content: bytes) -> tuple[list[bytes], bytes]:
    """The keys and certificates in PEM, and the rest. Each is one value: the first line of every OpenSSH
    key is the same.
    """
    keys, rest, at = [], [], 0
    while (begin := _PEM_BEGIN.search(content, at)) and (end := _PEM_END.search(content, begin.end())):
        keys.append(content[begin.start() : end.end()])
        rest.append(content[at : begin.start()])
        at = end.end()
    return keys, b" ".join([*rest, content[at:]])


def _words(text: bytes) -> Iterator[bytes]:
    """The words of a text that may be random: UUIDs, also as a part of a path, and long words."""
    yield from _UUID.findall(text)
    yield from _TOKEN.findall(_UUID.sub(b" ", text))


def _is_text(content: bytes) -> bool:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return False
    return not _NO_TEXT.search(text)


def _is_random_token(token: bytes) -> bool:
    """Whether a word looks random: hexadecimal with letters and digits, or of all kinds of characters."""
    if _UUID.fullmatch(token) and token[14:15] in b"35":
        return False  # derived from a name (RFC 9562), such as cloud-init's of eth0
    if re.fullmatch(rb"[0-9a-fA-F-]+", token):
        digits = token.replace(b"-", b"")
        return len(set(digits)) >= 6 and bool(re.search(rb"[a-fA-F]", digits)) and bool(re.search(rb"[0-9]", digits))
    kinds = sum(bool(re.search(kind, token)) for kind in (rb"[a-z]", rb"[A-Z]", rb"[0-9]"))
    return kinds == 3 and _entropy(token) > 3.7


def _looks_random(content: bytes) -> bool:
    """Whether bytes look random: at least 8, not compressible, and nearly all values are distinct."""
    if len(content) < 8 or len(zlib.compress(content, 9)) < len(content):
        return False
    return _entropy(content) > 0.85 * log2(min(len(content), 256))


def _entropy(data: bytes) -> float:
    """Shannon's entropy in bits per byte."""
    return -sum(count / len(data) * log2(count / len(data)) for count in Counter(data).values())


def _digests(printed: Printed) -> Iterator[tuple[str, str]]:
    for line in printed.lines:
        digest, _, path = line.partition("  ")
        if re.fullmatch(r"[0-9a-f]{64}", digest) and path.startswith("/"):
            yield path, digest


def _files(text: str) -> Iterator[tuple[str, bytes]]:
    """The regular files of an archive in base64, by absolute path. It comes from a guest: it is only
    read, within limits. Raises NotCheckable for what is no such archive; a damaged one has the files
    before the damage.
    """
    try:
        packed = base64.b64decode("".join(text.split()), validate=True)
        archive = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(packed, _ARCHIVE)
    except (ValueError, zlib.error) as error:
        raise NotCheckable("the files that the clones changed could not be read") from error
    if not archive:
        raise NotCheckable("the files that the clones changed could not be read")
    yield from _members(archive)


def _members(archive: bytes) -> Iterator[tuple[str, bytes]]:
    """The regular files of a tar archive, by absolute path (ustar with GNU's long names).

    Not Python's tarfile: old versions of it take hours for some hostile headers (CVE-2024-6232).
    """
    at, long_name = 0, b""
    while (header := archive[at : at + _BLOCK]).strip(b"\0"):
        size = _size(header)
        content = archive[at + _BLOCK : at + _BLOCK + size]
        if len(header) < _BLOCK or len(content) < size:
            return
        kind = header[156:157]
        if kind == b"L":
            long_name = content.rstrip(b"\0")
        else:
            name = long_name or _name(header)
            if kind in (b"0", b"\0") and 0 < size <= _LARGEST:
                yield f"/{name.decode('utf-8', 'replace').lstrip('/')}", content
            long_name = b""
        at += _BLOCK + -(-size // _BLOCK) * _BLOCK


def _size(header: bytes) -> int:
    digits = header[124:136].strip(b" \0")
    return int(digits, 8) if re.fullmatch(rb"[0-7]{1,12}", digits) else 0


def _name(header: bytes) -> bytes:
    name, prefix = header[:100].split(b"\0")[0], header[345:500].split(b"\0")[0]
    return b"%s/%s" % (prefix, name) if header[257:263] == b"ustar\0" and prefix else name


def _kind(path: str) -> str:
    for name, patterns in KNOWN.items():
        for pattern in patterns:
            if re.fullmatch(re.escape(pattern).replace(r"\*", "[^/]*"), path):
                return name
    return "identity"
