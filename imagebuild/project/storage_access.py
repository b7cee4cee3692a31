"""How storage is reached, as types of the keys that several sections of ``imagebuild.yaml`` have."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from imagebuild.schema import fields as f
from imagebuild.schema.section import SecretRef

NULL_FILE = "/dev/null"
ANY_MACHINE = "with /dev/null ssh accepts any machine that answers; name a file with the keys of hosts"
BOTH_KEYS = "expected both access_key and secret_key, or neither"


def _server(value: object) -> str:
    line = f.text(value)
    if "@" in line:
        raise ValueError("an endpoint has no user name or password; use access_key and secret_key")
    return f.url(line)


_Server = Annotated[str, BeforeValidator(_server), f.Kind("URL", schema={"type": "string", "pattern": "^https?://"})]

Endpoint = Annotated[
    _Server | None,
    Field(description="The server, for S3-compatible storage that is not Amazon's; `http://` only if insecure."),
]
Region = Annotated[f.Name | None, Field(description="The region of the bucket.")]
AccessKey = Annotated[
    SecretRef | None,
    Field(description="The access key of an S3 account. Default: what the usual AWS files and variables say."),
]
SecretKey = Annotated[SecretRef | None, Field(description="The secret key that belongs to `access_key`.")]
IdentityFile = Annotated[
    f.FilePath | None, Field(description="The private key for SFTP; relative to this file's folder.")
]
KnownHostsFile = Annotated[
    f.FilePath | None,
    Field(description="The host keys accepted for SFTP; relative to this file's folder. Default: those of the user."),
]
