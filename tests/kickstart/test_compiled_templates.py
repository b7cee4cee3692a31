"""A kept compiled template gives what a new one would."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild.kickstart import compiled_templates
from imagebuild.kickstart.compiled_templates import CompiledTemplates
from imagebuild.kickstart.environment import KickstartEnvironment


def rendered(folder: Path, kept: Path, kind: str = "") -> str:
    environment = KickstartEnvironment((folder,))
    environment.bytecode_cache = CompiledTemplates(kind, kept)
    return environment.get_template("one.ks.j2").render(name="a b")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "kickstart"
    made.mkdir()
    (made / "one.ks.j2").write_text("# {{ name }}\n")
    return made


def count(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    compiled: list[str] = []
    original = KickstartEnvironment.compile

    def compile_(self: KickstartEnvironment, source: str, *args: object, **more: object) -> object:
        compiled.append(source)
        return original(self, source, *args, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(KickstartEnvironment, "compile", compile_)
    return compiled


def test_a_template_is_compiled_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "kept"
    compiled = count(monkeypatch)
    assert rendered(folder, kept) == rendered(folder, kept) == "# 'a b'\n"
    assert len(compiled) == 1
    assert all(file.stat().st_mode & 0o077 == 0 for file in (kept, *kept.iterdir()))


def test_a_changed_template_is_compiled_again(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    rendered(folder, kept)
    (folder / "one.ks.j2").write_text("## {{ name }}\n")
    assert rendered(folder, kept) == "## 'a b'\n"


def test_changed_code_compiles_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "kept"
    compiled = count(monkeypatch)
    rendered(folder, kept)
    monkeypatch.setattr(compiled_templates, "_code", lambda: ("other", "code"))
    rendered(folder, kept)
    assert len(compiled) == 2


def test_another_environment_has_its_own(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "kept"
    compiled = count(monkeypatch)
    rendered(folder, kept)
    rendered(folder, kept, "marking")
    assert len(compiled) == 2


@pytest.mark.parametrize("content", [b"", b"x", b"j2\x05"])
def test_a_damaged_file_is_replaced(folder: Path, tmp_path: Path, content: bytes) -> None:
    kept = tmp_path / "kept"
    rendered(folder, kept)
    [file] = kept.iterdir()
    good = file.read_bytes()
    for damaged in (content, good[:-20]):
        file.write_bytes(damaged)
        assert rendered(folder, kept) == "# 'a b'\n"
    assert file.read_bytes() == good


def test_what_others_may_have_written_is_not_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    compiled = count(monkeypatch)
    rendered(folder, kept)
    [file] = kept.iterdir()
    file.chmod(0o666)
    rendered(folder, kept)
    assert len(compiled) == 2
