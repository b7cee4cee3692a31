"""Interprets the serial console of a booting guest: the login prompt, and signs that it will never
come. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_CONTROL = re.compile(
    r"\x1b\[[0-9;?!]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][0-9A-Z]|\x1b[=>c]|[\x00-\x08\x0b-\x1f\x7f]"
)
_LOGIN = re.compile(r"(?:^|\n)[^\n]{0,200}\blogin: *(?:\n|$)")
_LONGEST = 1 << 20
"""The most characters that are kept; a guest may print forever."""
_KEPT = 20

FAILURES = (
    (r"Kernel panic - not syncing: (?P<what>[^\n]*)", "the kernel panicked: {what}"),
    (r"(?:You are in|Entering|Welcome to) emergency mode", "the guest is in emergency mode"),
    (r"Give root password for maintenance|Press Enter for maintenance|Cannot open access to console, the root account",
        "the guest is in emergency mode"),
    (r"(?P<what>ALERT!  ?\S+ does not exist)", "the initramfs does not find the root file system: {what}"),
    (r"Gave up waiting for (?:the )?root (?:file system )?device", "the initramfs does not find the root file system"),
    (r"\n\(initramfs\) *$", "the initramfs opened a shell instead of the root file system"),
    (r"dracut-initqueue\S*: (?:Warning: )?(?P<what>Could not boot[^\n]*)",
        "the initramfs does not find the root file system: {what}"),
    (r"(?P<what>Please (?:enter passphrase for disk|unlock disk) [^\n]{0,80}|Enter passphrase for [^\n]{0,80})",
        "the guest asks for a passphrase that nobody can enter: {what}"),
    (r"grub rescue>", "the boot loader GRUB did not find its files"),
    (r"(?:^|\n)error: (?P<what>(?:no such (?:device|partition)|unknown filesystem|file)[^\n]*)",
        "GRUB reports: {what}"),
    (r"No bootable device|Boot failed: not a bootable disk|BdsDxe: No bootable option",
        "the firmware found nothing to boot"),
    (r"BdsDxe: failed to (?:load|start) [^\n]*: Access Denied", "Secure Boot refused the boot loader"),
    (r"bad shim signature|Verification failed: \(0x1A\) Security Violation",
        "Secure Boot refused the kernel or the boot loader"),
)  # fmt: skip
"""Texts of kernels, initramfs-tools, dracut, systemd, GRUB, shim, SeaBIOS and edk2."""
_PATTERNS = tuple((re.compile(pattern, re.IGNORECASE), sentence) for pattern, sentence in FAILURES)


@dataclass
class BootConsole:
    """Gets the console's bytes as they arrive. ``login`` is True once there is a login prompt,
    ``failure`` a sentence once a sign of failure was seen.
    """

    text: str = ""
    login: bool = False
    failure: str | None = None

    def feed(self, data: bytes) -> None:
        """Process the next bytes of the console."""
        before = max(0, len(self.text) - 400)
        self.text = (self.text + _CONTROL.sub("", data.decode("utf-8", "replace")))[-_LONGEST:]
        recent = self.text[before:] if before < len(self.text) else self.text
        if not self.login and _LOGIN.search(recent):
            self.login = True
        if self.failure is None:
            self.failure = _failure(recent)

    def again(self) -> None:
        """Wait for the next login prompt: the guest reboots."""
        self.text, self.login, self.failure = "", False, None

    def last_lines(self, count: int = _KEPT) -> tuple[str, ...]:
        """The last lines that are not empty."""
        return tuple([line for line in self.text.splitlines() if line.strip()][-count:])


def _failure(text: str) -> str | None:
    for pattern, sentence in _PATTERNS:
        if match := pattern.search(text):
            return sentence.format(**{key: value.strip() for key, value in match.groupdict().items()})
    return None
