"""The digests of all files, by the script that the appliance runs."""

from __future__ import annotations

import hashlib
from pathlib import Path

from imagebuild.contents.inventory import FileRecord
from imagebuild.customise.contents import survey
from imagebuild.customise.contents.survey import Survey
from imagebuild.host.process import run


def test_every_file_has_one(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    contents = {"/etc/shadow": "secret", "/a\nb": "", "/large": "x" * 300_000}
    for path, text in contents.items():
        (tmp_path / path[1:]).write_text(text)
        (tmp_path / path[1:]).chmod(0o600)
    (tmp_path / "link").symlink_to("large")
    records = (*(FileRecord(path, "f", 0o600, 0, 0) for path in contents), FileRecord("/link", "l", 0o777, 0, 0))
    output = run(["sh", "-c", survey.DIGESTS, "sh", tmp_path], timeout=30).stdout
    found = survey.with_digests(Survey(records, {}, [], [], {}), output.encode())
    digests = {one.path: one.sha256 for one in found.files}
    assert digests == {
        **{path: hashlib.sha256(text.encode()).hexdigest() for path, text in contents.items()},
        "/link": "",
    }
