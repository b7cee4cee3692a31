"""How much memory is left, with the limits of control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild.host import memory

GIB = 1 << 30


def group(folder: Path, names: tuple[str, str, str], most: str, used: int, cached: int) -> None:
    limit, current, stat = names
    folder.mkdir(parents=True, exist_ok=True)
    (folder / limit).write_text(f"{most}\n")
    (folder / current).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{stat} {cached}\nunevictable 0\n")


V2 = ("memory.max", "memory.current", "inactive_file")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def test_of_this_host() -> None:
    assert 0 < memory.available() < 1 << 50


def test_limits_of_the_group_and_of_those_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_V2", tmp_path)
    group(tmp_path / "machine", V2, str(4 * GIB), 3 * GIB, GIB)
    group(tmp_path / "machine" / "build", V2, "max", GIB, 0)
    assert [*memory._left("0::/machine/build\n")] == [2 * GIB]
    group(tmp_path / "machine" / "build", V2, str(GIB), GIB, 0)
    assert [*memory._left("0::/machine/build\n")] == [0, 2 * GIB]
    assert [*memory._left("0::/gone\n")] == []


def test_limits_of_the_first_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_V1", tmp_path)
    group(tmp_path / "docker", V1, str(2 * GIB), GIB, GIB // 2)
    assert [*memory._left("9:name=systemd:/docker\n4:cpu,memory:/docker\n")] == [GIB * 3 // 2]


def test_no_room_beyond_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_left", lambda groups: iter([-GIB]))
    assert memory.available() == 0
