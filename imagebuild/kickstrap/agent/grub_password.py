"""``bootloader --password``: GRUB asks for it before it changes what is booted, not before it boots."""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .identity import DiskIdentity
    from .plan import Password
    from .target import Target

HASH = re.compile(r"grub\.pbkdf2\.sha512\.[0-9]{4,8}\.[0-9A-Fa-f]{2,256}\.[0-9A-Fa-f]{2,256}")
"""What grub-mkpasswd-pbkdf2(1) prints, the only hash that GRUB 2 reads."""
_ITERATIONS = 10000
"""grub-mkpasswd-pbkdf2's default."""
_FILE, _MENU = "/etc/grub.d/01_password", "/etc/grub.d/10_linux"


def hashed(password: str, salt: bytes) -> str:
    """The hash of a plain password, as grub-mkpasswd-pbkdf2 makes it."""
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS, 64)
    return f"grub.pbkdf2.sha512.{_ITERATIONS}.{salt.hex().upper()}.{key.hex().upper()}"


def set_password(target: Target, password: Password, identity: DiskIdentity) -> None:
    """Write the password of GRUB's user root, and let everybody start the menu's entries.

    The salt of a plain password is derived from the identity of the disks, if they have one.
    """
    salt = hashlib.sha512(f"{identity.seed} GRUB".encode()).digest() if identity.seed else os.urandom(64)
    text = password.text if password.crypted else hashed(password.text, salt)
    lines = ["#!/bin/sh", 'exec tail -n +3 "$0"', 'set superusers="root"', f"password_pbkdf2 root {text}"]
    target.write(_FILE, "\n".join(lines) + "\n", mode=0o700)
    menu = target.read(_MENU)
    if "--unrestricted" not in menu:
        menu = re.sub(r'^(CLASS="[^"]*)"', r'\1 --unrestricted"', menu, count=1, flags=re.MULTILINE)
        target.write(_MENU, menu, mode=0o755)
