"""A script of yours ends with exit status 0 in the guest.

The script is a file of the build host or a text. It runs as root in the booted guest, by the
interpreter in its first line, or else by sh. If its exit status is not 0, the last lines of its
output are the problem.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from imagebuild.schema.fields import FilePath
from imagebuild.verify import check
from imagebuild.verify.check import NotCheckable, RunningGuest

_PLACE = "/root/.imagebuild-check"
"""Not below /run, /tmp or /var/tmp, which may be mounted with noexec."""
_LARGEST = 1 << 20
"""The size limit in bytes."""
_ENDED = 124
"""The exit status of timeout(1) for a command that it has ended."""
_SCRIPT = """\
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
cd /
limit=
timeout 1 true 2>/dev/null && limit='timeout {limit}'
$limit {command} </dev/null
s=$?
rm -f {place}
exit $s
"""
_LAST_LINES = 3
_LONGEST = 400


class Params(check.Params):
    text: str | None = Field(default=None, min_length=1, description="the script itself; instead of `file`")
    file: FilePath | None = Field(
        default=None, description="file on the build host; a relative path is relative to the file it is written in"
    )
    limit: int = Field(default=300, gt=0, description="seconds that the script may take")

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.text is None) == (self.file is None):
            raise ValueError("expected exactly one of text and file")
        return self


def act(guest: RunningGuest, params: Params) -> Iterator[str]:
    content = _content(params)
    guest.upload(content, _PLACE)
    command = _PLACE if content.startswith(b"#!") else f"sh {_PLACE}"
    done = guest.run(_SCRIPT.format(command=command, place=_PLACE, limit=params.limit), timeout=params.limit + 60)
    if done.status == _ENDED:
        yield f"the script did not end within {params.limit} s (exit status {_ENDED})"
    elif done.status != 0:
        last = " | ".join(line.strip() for line in done.lines[-_LAST_LINES:])[-_LONGEST:]
        yield f"the script ended with exit status {done.status}" + (f": {last}" if last else " and printed nothing")


def _content(params: Params) -> bytes:
    if params.file is None:
        return (params.text or "").encode()
    path = Path(params.file)
    try:
        if path.stat().st_size > _LARGEST:
            raise NotCheckable(f"{path} is larger than {_LARGEST} bytes, the limit for a script")
        return path.read_bytes()
    except OSError as error:
        raise NotCheckable(f"{path} could not be read: {error.strerror}") from error
