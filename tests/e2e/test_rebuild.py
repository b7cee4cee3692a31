"""A rebuild of an image, with every step run again."""

from __future__ import annotations

import pytest

from imagebuild.files import sha256

from .conftest import Ended, Project

pytestmark = [pytest.mark.vm, pytest.mark.slow, pytest.mark.timeout(5400)]


def test_a_rebuild_differs_only_as_expected(project: Project, built: Ended) -> None:
    """The recipe's password is in plain text, so its hash gets another salt."""
    original = (project.folder / str(built.last("artifact")["image"])).parent
    before = {path.name: sha256(path) for path in original.iterdir()}
    refused = project.run("rebuild", str(original), "--json")
    assert refused.code == 2
    assert "SMALL_ROOT_PASSWORD" in refused.last("error")["message"]
    ended = project.run("rebuild", str(original), "--trust-manifest", "--json")
    found = ended.last("rebuilt")
    assert [one for one in found["differences"] if not one["reason"]] == []
    assert (ended.code, found["unexpected"], found["obstacles"]) == (0, 0, [])
    assert {one["name"] for one in found["differences"] if one["kind"] == "file"} <= {"/etc/shadow"}
    assert not [one for one in found["differences"] if one["kind"] == "identifier"]
    assert {path.name: sha256(path) for path in original.iterdir()} == before
    assert [path.name for path in (project.folder / "rebuilt").iterdir()] == ["small"]
