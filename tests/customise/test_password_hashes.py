"""Whether a guest contains password hashes decides who may read its image."""

from __future__ import annotations

import pytest

from imagebuild.customise import password_hashes
from tests.operations.memory import MemoryDisk, Node, with_folders

SHA512 = "$6$saltsalt$" + "h" * 86
YESCRYPT = "$y$j9T$saltsaltsaltsaltsalt$" + "h" * 43


def guest(path: str, text: str) -> MemoryDisk:
    return MemoryDisk(with_folders({path: Node("file", 0o600, text.encode())}))


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/etc/shadow", f"root:{SHA512}:1:0:99999:7:::"),
        ("/etc/shadow", f"root:!{YESCRYPT}:1:0:99999:7:::"),
        ("/etc/shadow", f"root:!!{SHA512}:1:0:99999:7:::"),
        ("/etc/shadow", "old:$2b$12$saltsaltsaltsaltsaltsahashhashhashhashhashhashhashhash:1::::::"),
        ("/etc/shadow", "des:abJnggxhB/yWI:1::::::"),
        ("/etc/shadow", "bsdi:_J9..CCCCXBrJUJV154M:1::::::"),
        ("/etc/shadow-", f"root:{SHA512}:1:0:99999:7:::"),
        ("/etc/gshadow", f"wheel:{SHA512}::"),
        ("/etc/passwd", f"root:{SHA512}:0:0::/root:/bin/sh"),
        ("/etc/security/opasswd", f"root:0:2:{SHA512},{SHA512}"),
        ("/etc/shadow.rpmsave", f"root:{SHA512}:1:0:99999:7:::"),
    ],
)
def test_hashes(path: str, line: str) -> None:
    assert password_hashes.found(guest(path, f"daemon:*:1::::::\n{line}\nlast:!:1::::::\n"))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/shadow", "root:!:1::::::\ndaemon:*:1::::::\nsync:!!:1::::::\nopen::1::::::\nnp:!*:1::::::\n"),
        ("/etc/shadow", "root:!locked:1::::::\nx:*LK*:1::::::\nnp:NP:1::::::\n"),
        ("/etc/passwd", "root:x:0:0:root $5.00 a month:/root:/bin/sh\n"),
        ("/etc/gshadow", "wheel:!::\n"),
        ("/etc/hostname", f"root:{SHA512}\n"),
        ("/etc/shadow", ""),
    ],
)
def test_none(path: str, text: str) -> None:
    assert not password_hashes.found(guest(path, text))


def test_a_folder_with_such_a_name_contains_none() -> None:
    assert not password_hashes.found(guest("/etc/shadow.d/notes", SHA512))


def test_what_cannot_be_read_counts_as_one() -> None:
    assert password_hashes.found(guest("/etc/shadow", "x" * (5 << 20)))
