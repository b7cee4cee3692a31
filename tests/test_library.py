"""The public interface: its documentation's examples run, and importing it costs next to nothing."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import imagebuild
from imagebuild import api
from imagebuild.host.process import run
from imagebuild.store.artifact import MANIFEST

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "library.md"
WEB = """\
extends: debian-13.yaml
name: web
variables: {site: {type: text}}
"""
WRONG = "extends: debian-13.yaml\nname: wrong\ndisk: {size: {replace: 4GIB}}\npakages: {append: [nginx]}\n"


def examples(title: str) -> str:
    """The examples of a section, as one program."""
    section = DOCUMENT.read_text(encoding="utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return "\n".join(re.findall(r"```python\n(.*?)```", section, re.DOTALL))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder, which is the current one."""
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "web.yaml").write_text(WEB)
    (tmp_path / "recipes" / "wrong.yaml").write_text(WRONG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGEBUILD_STORE", str(tmp_path / "store"))
    return tmp_path


def finished(project: Path, outlook: imagebuild.Outlook) -> None:
    """An artifact of this plan, so that a build has nothing to do."""
    folder = project / "artifacts" / "web" / "2026-01-02.3"
    folder.mkdir(parents=True)
    (folder / "web.qcow2").touch()
    image = {"file": "web.qcow2", "size": 0}
    (folder / MANIFEST).write_text(json.dumps({"image": image, "fingerprint": outlook.plan.convert.fingerprint}))
    (folder.parent / "latest").symlink_to(folder.name)


@pytest.mark.seconds
def test_the_examples_load_plan_and_build(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    exec(compile(examples("Load recipes and plan"), str(DOCUMENT), "exec"), names)
    said = capsys.readouterr().out
    assert "recipes/wrong.yaml:4: pakages: " in said
    assert "convert not built yet" in said
    assert names["outlook"].artifact is None
    finished(project, names["outlook"])
    exec(compile(examples("Build with a reporter"), str(DOCUMENT), "exec"), names)
    said = capsys.readouterr().out
    assert "web: plan\n" in said
    assert said.endswith("2026-01-02.3 artifacts/web/2026-01-02.3/web.qcow2\n")


@pytest.mark.guestfs
def test_the_examples_scrub_and_audit(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = project / "tree"
    for path, text in {
        "etc/os-release": "ID=debian\nVERSION_ID=13\n",
        "etc/debian_version": "13.0\n",
        "etc/fstab": "/dev/sda1 / ext4 defaults 0 1\n",
        "etc/hostname": "built\n",
        "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
        "etc/passwd": "root:x:0:0:root:/root:/bin/bash\n",
        "root/.bash_history": "mysql -psecret\n",
        "usr/lib/os-release": "ID=debian\nVERSION_ID=13\n",
        "var/log/wtmp": "",
    }.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    disk = project / "template.raw"
    with disk.open("wb") as file:
        file.truncate(64 << 20)
    run(["mke2fs", "-q", "-t", "ext4", "-d", tree, disk], timeout=60)
    names: dict[str, Any] = {"Path": Path, "imagebuild": imagebuild}
    exec(compile(examples("Scrub and audit an image"), str(DOCUMENT), "exec"), names)
    assert "reset-machine-id changed" in capsys.readouterr().out
    assert {finding.path for finding in names["findings"]} >= {"/root/.bash_history"}
    assert "/etc/machine-id" not in {finding.path for finding in names["findings"]}
    with pytest.raises(imagebuild.UsageError, match="dry run"):
        imagebuild.scrub_image(disk, dry_run=True, output=Path("other.raw"))


def test_the_documentation_names_all_that_is_public() -> None:
    words = set(re.findall(r"\w+", DOCUMENT.read_text(encoding="utf-8")))
    assert set(imagebuild.__all__) - {"__version__"} == set(api.__all__)
    assert set(api.__all__) - words == set()
    assert all(getattr(imagebuild, name).__doc__ for name in api.__all__)
    assert set(imagebuild.__all__) <= set(dir(imagebuild))
    with pytest.raises(AttributeError, match="no attribute 'load'"):
        imagebuild.load  # noqa: B018


def test_type_checkers_see_what_is_public() -> None:
    tree = ast.parse(Path(str(imagebuild.__file__)).read_text(encoding="utf-8"))
    named = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "imagebuild.api"
        for alias in node.names
    }
    assert named == set(api.__all__)


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import imagebuild; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"imagebuild", "__future__"}
