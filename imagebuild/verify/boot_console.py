"""Interprets the serial console of a booting guest: the login prompt, and signs that it will never
come. Pure.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field

_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # control sequences (ECMA-48, 5.4)
    r"|\x1b[PX^_\]][^\x07\x1b]*(?:\x07|\x1b\\)"  # control strings (ECMA-48, 5.6)
    r"|\x1b[ -/]+[0-~]|\x1b[0-OQ-WYZ\\`-~]|[\x00-\x08\x0b-\x1f\x7f]"
)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]{0,80}[ -/]{0,8}|[PX^_\]][^\x07\x1b]{0,400}\x1b?|[ -/]{0,8})\Z")
"""The beginning of an escape sequence, whose rest is still to come."""
_LOGIN = re.compile(r"\n(?!Last )(?:[^\s\[\]]{1,255} )?login: ")
_LONGEST = 1 << 20
"""The most characters that are kept; a guest may print forever."""
_WINDOW = 2000
"""Characters before the newest ones in which a pattern may begin."""
_KEPT = 20

FAILURES = (
    (r"Kernel panic - not syncing: (?P<what>[^\n]*)\n", "the kernel panicked: {what}"),
    (r"(?:You are in|Entering|Welcome to) emergency mode", "the guest is in emergency mode"),
    (r"Give root password for maintenance|Press Enter for maintenance|Cannot open access to console, the root account",
        "the guest is in emergency mode"),
    (r"(?P<what>ALERT!  ?\S+ does not exist)", "the initramfs does not find the root file system: {what}"),
    (r"Gave up waiting for (?:the )?root (?:file system )?device", "the initramfs does not find the root file system"),
    (r"\n\(initramfs\)", "the initramfs opened a shell instead of the root file system"),
    (r"dracut-initqueue\S*: (?:Warning: )?(?P<what>Could not boot[^\n]*)\n",
        "the initramfs does not find the root file system: {what}"),
    (r"(?P<what>Please (?:enter passphrase for disk|unlock disk) [^\n:]{0,80}:|Enter passphrase for [^\n:]{0,80}:)",
        "the guest asks for a passphrase that nobody can enter: {what}"),
    # GRUB reports errors that do not matter too, so only those count after which it gives up.
    (r"\nerror: (?P<what>[^\n]*)\n(?:[^\n]*\n){0,3}?Entering rescue mode", "GRUB reports: {what}"),
    (r"\nerror: (?P<what>[^\n]*)\n(?:[^\n]*\n){0,3}?error: [^\n]*you need to load the kernel first",
        "GRUB reports: {what}"),
    (r"grub rescue>", "the boot loader GRUB did not find its files"),
    (r"No bootable device|Boot failed: not a bootable disk|BdsDxe: No bootable option",
        "the firmware found nothing to boot"),
    (r"BdsDxe: failed to (?:load|start) [^\n]*: Access Denied", "Secure Boot refused the boot loader"),
    (r"bad shim signature|Verification failed: \(0x1A\) Security Violation",
        "Secure Boot refused the kernel or the boot loader"),
)  # fmt: skip
"""Texts of kernels, initramfs-tools, dracut, systemd, GRUB, shim, SeaBIOS and edk2. Each matches as
soon as it is complete, whatever follows: output arrives in pieces."""
_SIGNS = (
    "kernel panic", "emergency mode", "for maintenance", "root account", "does not exist", "gave up waiting",
    "(initramfs)", "could not boot", "passphrase for", "unlock disk", "rescue", "load the kernel", "no bootable",
    "boot failed", "access denied", "shim signature", "security violation",
)  # fmt: skip
"""Each failure has one of these in its text: they are found much faster than a pattern."""
_PATTERNS = tuple((re.compile(pattern, re.IGNORECASE), sentence) for pattern, sentence in FAILURES)


@dataclass
class BootConsole:
    """Gets the console's bytes as they arrive, in pieces of any size. ``login`` is True once there is
    a login prompt, ``failure`` a sentence once a sign of failure was seen.
    """

    login: bool = False
    failure: str | None = None
    _parts: list[str] = field(default_factory=list)
    _length: int = 0
    _recent: str = "\n"
    """The newest text. It starts with a line end, since the console starts with a line."""
    _unfinished: str = ""
    _decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace"), compare=False
    )

    @property
    def text(self) -> str:
        """The newest part of the console's text, without escape sequences."""
        self._parts = ["".join(self._parts)[-_LONGEST:]]
        self._length = len(self._parts[0])
        return self._parts[0]

    def feed(self, data: bytes) -> None:
        """Process the next bytes of the console."""
        raw = self._unfinished + self._decoder.decode(data)
        unfinished = _UNFINISHED.search(raw)
        self._unfinished = unfinished[0] if unfinished else ""
        new = _CONTROL.sub("", raw.removesuffix(self._unfinished))
        if not new:
            return
        self._parts.append(new)
        self._length += len(new)
        if self._length > 2 * _LONGEST:
            _ = self.text
        # A part at a time, so that what is found does not depend on how much arrives together.
        for at in range(0, len(new), _WINDOW):
            seen = self._recent + new[at : at + _WINDOW]
            self.login = self.login or ("login: " in seen and _LOGIN.search(seen) is not None)
            self.failure = self.failure or _failure(seen)
            self._recent = seen[-_WINDOW:]

    def again(self) -> None:
        """Wait for the next login prompt: the guest reboots."""
        self._parts, self._length, self._recent, self._unfinished = [], 0, "\n", ""
        self.login, self.failure = False, None

    def last_lines(self, count: int = _KEPT) -> tuple[str, ...]:
        """The last lines that are not empty."""
        return tuple([line for line in self.text.splitlines() if line.strip()][-count:])


def _failure(text: str) -> str | None:
    """The failure whose text is complete first."""
    lowered = text.lower()
    if not any(sign in lowered for sign in _SIGNS):
        return None
    found = [(match.end(), number, match) for number, (one, _) in enumerate(_PATTERNS) if (match := one.search(text))]
    if not found:
        return None
    _, number, match = min(found, key=lambda one: one[:2])
    return _PATTERNS[number][1].format(**{key: value.strip() for key, value in match.groupdict().items()})
