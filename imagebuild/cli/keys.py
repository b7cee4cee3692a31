"""``--key``: what opens a guest's encrypted disks. Never a passphrase itself, only where to read it."""

from __future__ import annotations

import re
from pathlib import Path

import click
from pydantic import ValidationError

from imagebuild.errors import UsageError
from imagebuild.guest import Key
from imagebuild.recipe import secrets
from imagebuild.schema.section import SecretRef


def _read(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[Key, ...]:
    """The keys with their values. What is wrong is not repeated: it may be a passphrase."""
    keys = []
    for value in values:
        parts = re.fullmatch(r"(.+?):(env|file):(.+)", value)
        if not parts:
            raise UsageError(
                "--key: expected DEVICE:env:NAME or DEVICE:file:PATH", "a passphrase is never written there"
            )
        try:
            ref = SecretRef.model_validate({parts[2]: parts[3]})
        except ValidationError as error:
            raise UsageError(f"--key {parts[1]}: what follows {parts[2]}: cannot be the name of one") from error
        keys.append(Key(parts[1], secrets.read(ref, Path())))
    return tuple(keys)


key_option = click.option(
    "--key", "keys", multiple=True, callback=_read, metavar="DEVICE:env:NAME|DEVICE:file:PATH",
    help="Where the passphrase of an encrypted (LUKS) DEVICE is read: an environment variable or a file. DEVICE is a name"
    " as the guest has it (/dev/vda3), a LUKS UUID or all; repeatable.",
)  # fmt: skip
