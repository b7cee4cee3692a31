"""Makes the packages that a recipe has in addition to those of the installed disk that it shares."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from imagebuild import files
from imagebuild.errors import NotShareable
from imagebuild.kickstrap import difference
from imagebuild.kickstrap import payload as archives
from imagebuild.kickstrap.payload import PayloadResult, PayloadSpec
from imagebuild.kickstrap.scratch import working_folder

if TYPE_CHECKING:
    from imagebuild.progress import Progress

CODE = ("kickstrap/further.py", "kickstrap/difference.py", "customise/additions.py")
"""The code that determines the result, in addition to that of root archives; a test compares it with the
imports.
"""


def make(common: PayloadResult, whole: PayloadSpec, roots: archives.Roots | None, into: Path,
         progress: Progress) -> PayloadResult:  # fmt: skip
    """Make what a root archive of ``whole`` has and ``common`` does not, in the folder ``into``.

    Raises NotShareable if it cannot be added to an installation of ``common``, and what
    ``archives.build`` raises.
    """
    with working_folder(into) as scratch:
        with ThreadPoolExecutor(1) as pool:
            there = pool.submit(difference.contents, common.path)  # while mmdebstrap works
            full = archives.build(whole, scratch / "root", progress, roots)
        if not common.packages.items() <= full.packages.items():
            raise NotShareable("apt would choose other packages for it")
        progress.update("comparing root archives", 0.97)
        archive = difference.write(there.result(), difference.contents(full.path), into)
    archive.chmod(0o644)
    result = replace(full, path=archive, sha256=files.sha256(archive))
    files.write_record(into / "payload.json", replace(result, path=Path(archive.name)))
    return result
