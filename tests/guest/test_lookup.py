"""Paths and shell patterns in a guest, compared with the results of the host's kernel and library
for the same files."""

from __future__ import annotations

import glob
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.errors import GuestFileError
from imagebuild.guest import literal
from tests.operations.memory import MemoryDisk, Node, Tree, with_folders

NAMES = st.sampled_from(["a", "b", ".c", "d d", "e[1]", "f*", "-r"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TARGETS = st.lists(st.one_of(NAMES, st.just(".")), min_size=1, max_size=3).map("/".join)
PATTERNS = st.lists(
    st.one_of(NAMES.map(literal), st.sampled_from(["*", "?", ".*", "[a-b]", "[!a]", "*c", "?[*", "[[]*", "\\*"])),
    min_size=1,
    max_size=3,
).map("/".join)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Files, folders and relative links that stay below their own folder."""
    found: Tree = {}
    for path in draw(st.lists(PATHS, max_size=6, unique=True)):
        inside = {one for one in found if f"/{path}".startswith(f"{one}/") or one.startswith(f"/{path}/")}
        if not inside and f"/{path}" not in found:
            kind = draw(st.sampled_from(["file", "dir", "symlink"]))
            content = os.fsencode(draw(TARGETS)) if kind == "symlink" else b""
            found[f"/{path}"] = Node(kind, 0o777 if kind == "symlink" else 0o755, content)  # type: ignore[arg-type]
    return with_folders(found)


def made(tree: Tree, root: Path) -> Path:
    """The same files on the host."""
    for path, node in tree.items():
        place = root / path.strip("/")
        if node.kind == "dir":
            place.mkdir()
        elif node.kind == "symlink":
            place.symlink_to(os.fsdecode(node.content))
        else:
            place.write_bytes(node.content)
    return root


@given(tree=trees(), path=PATHS, pattern=PATTERNS)
def test_as_the_kernel_and_the_shell_have_it(
    tree: Tree, path: str, pattern: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = made(tree, tmp_path_factory.mktemp("tree").resolve())
    disk = MemoryDisk(tree)
    try:
        real = os.path.realpath(root / path, strict=True)
    except OSError:
        with pytest.raises(GuestFileError):
            disk.realpath(f"/{path}")
    else:
        assert disk.realpath(f"/{path}") == (real.removeprefix(str(root)) or "/")
    assert (disk.stat(f"/{path}") is not None) == os.path.lexists(root / path)
    if "\\" not in pattern:
        assert disk.glob(f"/{pattern}") == sorted(f"/{one}" for one in glob.glob(pattern, root_dir=root))  # noqa: PTH207 - of the library, to compare


@given(
    st.text(st.characters(exclude_characters="/\0", codec=None), min_size=1).filter(
        lambda name: name not in (".", "..")
    )
)
def test_a_literal_pattern_matches_its_own_name_only(name: str) -> None:
    disk = MemoryDisk(with_folders({f"/x/{one}": Node("file", 0o644) for one in {name, name + "x", "a", "b"}}))
    assert disk.glob(f"/x/{literal(name)}") == [f"/x/{name}"]


def test_links_stay_in_the_guest_and_end() -> None:
    links = {"/out": "../../../etc", "/absolute": "/etc", "/loop": "loop", "/chain": "/out/passwd", "/gone": "/nowhere"}
    tree = {path: Node("symlink", 0o777, target.encode()) for path, target in links.items()}
    disk = MemoryDisk(with_folders({"/etc/passwd": Node("file", 0o644), **tree}))
    assert [disk.realpath(path) for path in ("/out", "/absolute", "/chain")] == ["/etc", "/etc", "/etc/passwd"]
    for path in ("/loop", "/loop/x", "/gone", "/chain/x", "/etc/passwd/.."):
        with pytest.raises(GuestFileError):
            disk.realpath(path)
    assert disk.stat("/gone") is not None
    assert disk.glob("/*/passwd") == ["/absolute/passwd", "/etc/passwd", "/out/passwd"]


@pytest.mark.seconds
def test_a_tree_of_any_depth_is_walked() -> None:
    disk = MemoryDisk(with_folders({"/deep" + "/d" * 1500: Node("file", 0o644)}))
    assert sum(1 for _ in disk.walk("/deep")) == 1500


def test_a_name_that_is_not_utf8_and_one_with_a_newline() -> None:
    disk = MemoryDisk(with_folders({"/tmp/caf\udce9": Node("file", 0o644), "/tmp/a\nb": Node("file", 0o644)}))
    assert disk.glob("/tmp/caf?") == ["/tmp/caf\udce9"]
    assert disk.glob("/tmp/a?b") == ["/tmp/a\nb"]
