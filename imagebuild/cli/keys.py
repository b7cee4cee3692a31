"""``--key``: how to unlock a guest's encrypted disks.

Never the passphrase itself, only where to read it.
"""

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
    """The keys with their values.

    Errors do not repeat a wrong argument, because it may be a passphrase.
    """
    keys = []
    for value in values:
        parts = re.fullmatch(r"(.+?):(env|file):(.+)", value)
        if not parts:
            raise UsageError(
                "--key: expected DEVICE:env:NAME or DEVICE:file:PATH",
                "the passphrase itself is never given on the command line",
            )
        try:
            ref = SecretRef.model_validate({parts[2]: parts[3]})
        except ValidationError as error:
            raise UsageError(f"--key {parts[1]}: not a valid name or path after {parts[2]}:") from error
        keys.append(Key(parts[1], secrets.read(ref, Path())))
    return tuple(keys)


key_option = click.option(
    "--key", "keys", multiple=True, callback=_read, metavar="DEVICE:env:NAME|DEVICE:file:PATH",
    help="Where to read the passphrase of an encrypted (LUKS) DEVICE: an environment variable or a file. DEVICE is a"
    " device name as in the guest (/dev/vda3), a LUKS UUID, or all; repeatable.",
)  # fmt: skip
