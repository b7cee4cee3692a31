"""Querying repositories on a real server: however they are named, a changed repomd.xml is detected."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from faulty_server import FaultyServer

from imagebuild import fetch
from imagebuild.anaconda.repositories import REPOMD, offered
from imagebuild.errors import HostError
from imagebuild.kickstart.render import RepositoryValues

METALINK = """\
<metalink version="3.0" xmlns="http://www.metalinker.org/"><files><file name="repomd.xml">
  <mm0:timestamp>1764000000</mm0:timestamp>
  <verification><hash type="md5">{md5}</hash><hash type="sha256">{now}</hash></verification>
  <mm0:alternates><mm0:alternate><verification><hash type="sha256">{before}</hash></verification></mm0:alternate></mm0:alternates>
</file></files></metalink>
"""  # noqa: E501
VARIABLES = {"$basearch": "x86_64", "$releasever": "9"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch.text, "__defaults__", (fetch.Limits(connect=2, read=2, pause=0.01, attempts=2),))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_by_address_metalink_and_mirror_list(server: FaultyServer) -> None:
    server.content = {
        f"/9/x86_64/{REPOMD}": b"<repomd/>",
        "/metalink": METALINK.format(md5="0" * 32, now="a" * 64, before="b" * 64).encode(),
        "/mirrors": f"# a comment\n\n{server.url('/9/x86_64/')}\nhttps://mirror.invalid/9/x86_64/\n".encode(),
    }
    repositories = [
        RepositoryValues("os", url=server.url("/$releasever/$basearch")),
        RepositoryValues("epel", metalink=server.url("/metalink?repo=epel-9")),
        RepositoryValues("extras", mirrorlist=server.url("/mirrors")),
    ]
    before = offered(repositories, VARIABLES)
    assert before == {"os": sha256(b"<repomd/>"), "epel": "a" * 64, "extras": sha256(b"<repomd/>")}
    server.content[f"/9/x86_64/{REPOMD}"] = b"<repomd>newer</repomd>"
    after = offered(repositories, VARIABLES)
    assert {name for name in before if before[name] != after[name]} == {"os", "extras"}


def test_a_folder(tmp_path: Path) -> None:
    tree = RepositoryValues("tree", url=(tmp_path / "a tree").as_uri())
    with pytest.raises(fetch.NotThere):
        offered([tree], {})
    assert offered([tree], {}, optional=tree) == {}
    (tmp_path / "a tree" / "repodata").mkdir(parents=True)
    (tmp_path / "a tree" / REPOMD).write_bytes(b"<repomd/>")
    assert offered([tree], {}, optional=tree) == {"tree": sha256(b"<repomd/>")}


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        ("metalink", b"<html>sorry</html>", "metalink has no SHA-256"),
        ("metalink", METALINK.format(md5="0" * 32, now="short", before="b" * 64).encode(), "metalink has no SHA-256"),
        ("mirrorlist", b"# none today\n", "mirror list is empty"),
    ],
)
def test_an_invalid_repository_is_an_error(server: FaultyServer, kind: str, content: bytes, message: str) -> None:
    server.content["/list"] = content
    with pytest.raises(HostError, match=message):
        offered([RepositoryValues("own", **{kind: server.url("/list")})], {})
