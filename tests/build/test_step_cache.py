"""What a run takes from the store, and what it makes again."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from imagebuild.build.step_cache import Settings, StepCache
from imagebuild.progress import SILENT_REPORTER, Progress
from imagebuild.step import Step
from imagebuild.store.store import Store

STEP = Step("payload", "payload", "root archive", {"packages": "vim"})


def test_a_refresh_makes_each_result_once(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    made: list[Path] = []

    def fill(folder: Path, progress: Progress) -> str:
        (folder / "root.tar").write_text(str(len(made)))
        made.append(folder)
        return "made"

    for refresh, expected in ((False, 1), (False, 1), (True, 2)):
        with ExitStack() as held:
            settings = Settings(Store(tmp_path / "store"), tmp_path, refresh=refresh)
            cache = StepCache("web", settings, SILENT_REPORTER, tmp_path / "work", held)
            assert (cache.find(STEP) is None) == (refresh or not made)
            for _ in range(2):
                entry = cache.make(STEP, fill)
            assert len(made) == expected
            assert (entry / "root.tar").read_text() == str(expected - 1)
            assert cache.find(STEP) == cache.fetch(STEP) == entry
