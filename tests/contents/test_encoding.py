"""The file of an inventory: the same bytes each time, and nothing else is accepted."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from imagebuild.contents import encoding
from imagebuild.contents.encoding import InventoryError, packed, unpacked
from imagebuild.contents.inventory import FileRecord
from tests.contents.inventories import CHANGED, HOSTILE, inventory


def content(**changes: Any) -> bytes:
    """A file whose JSON has other values; None removes a field."""
    data = json.loads(gzip.decompress(packed(inventory()))) | changes
    return gzip.compress(json.dumps({key: value for key, value in data.items() if value != "gone"}).encode())


@pytest.mark.parametrize("one", [inventory(), CHANGED.inventory, inventory(packages=None, files=(), disks=())])
def test_what_is_written_is_read_again(one: Any) -> None:
    assert unpacked(packed(one)) == one


def test_the_bytes_are_always_the_same_and_pure_ascii() -> None:
    assert packed(CHANGED.inventory) == packed(CHANGED.inventory)
    assert packed(inventory())[4:8] == bytes(4), "the time in the header"
    text = gzip.decompress(packed(CHANGED.inventory))
    assert text.isascii()
    assert b"\\u001b]0;owned" in text
    assert HOSTILE in [one.path for one in unpacked(packed(CHANGED.inventory)).files]


def test_packages_that_are_unknown_are_not_none() -> None:
    assert unpacked(packed(inventory(packages=None))).packages is None
    assert unpacked(packed(inventory(packages={}))).packages == {}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": encoding.SCHEMA + 1}, "is newer than"),
        ({"schema": 0}, "is older than"),
        ({"schema": "1"}, "no schema version"),
        ({"schema": "gone"}, "no schema version"),
        ({"files": "gone"}, "it has no 'files'"),
        ({"files": {}}, "not as expected"),
        ({"files": [["/a", "f", 420, 0]]}, "not as expected"),
        ({"files": [["/a", "f", 420, 0, 0, -1]]}, "not as expected"),
        ({"files": [["/a", "f", 420, 0, 0, True]]}, "not as expected"),
        ({"files": [["../../etc/passwd", "f", 420, 0, 0]]}, "not as expected"),
        ({"files": [["/a\0", "f", 420, 0, 0]]}, "not as expected"),
        ({"files": [["/a", "F", 420, 0, 0]]}, "not as expected"),
        ({"files": [["/a", ["f"], 420, 0, 0]]}, "not as expected"),
        ({"files": [None]}, "not as expected"),
        ({"packages": []}, "not as expected"),
        ({"packages": {"a": 1}}, "not as expected"),
        ({"package_format": "deb"}, "not as expected"),
        ({"package_format": []}, "not as expected"),
        ({"system": {"id": "debian"}}, "it has no 'version'"),
        ({"system": "debian"}, "not as expected"),
        ({"accounts": [{"name": "root"}]}, "it has no"),
        ({"kernels": [1]}, "not as expected"),
        ({"folders": [{"path": "usr", "size": 1}]}, "not as expected"),
        ({"disks": [{"size": 1, "table": "gpt", "areas": [None]}]}, "not as expected"),
        ({"units": [{"name": "a", "wanted_by": [], "listens": [], "vendor": 1}]}, "not as expected"),
    ],
)
def test_anything_else_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InventoryError, match=said):
        unpacked(content(**changes))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "damaged"),
        (b"{}", "damaged"),
        (packed(inventory())[:-20], "damaged"),
        (gzip.compress(b""), "not JSON"),
        (gzip.compress(b"[" * 100_000), "not JSON"),
        (gzip.compress(b"\xff\xfe"), "not JSON"),
        (gzip.compress(b"[]"), "no schema version"),
    ],
    ids=["nothing", "not compressed", "truncated", "empty", "deep", "not UTF-8", "a list"],
)
def test_what_is_no_inventory_at_all(data: bytes, said: str) -> None:
    with pytest.raises(InventoryError, match=said):
        unpacked(data)


def test_a_file_that_unpacks_to_very_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "_LARGEST_UNPACKED", 1 << 20)
    with pytest.raises(InventoryError, match="too large"):
        unpacked(gzip.compress(bytes(2 << 20)))
    monkeypatch.setattr(encoding, "LARGEST", 10)
    with pytest.raises(InventoryError, match="too large"):
        unpacked(packed(inventory()))


def test_privileges() -> None:
    def of(mode: int, kind: str = "f", capabilities: str = "") -> tuple[str, ...]:
        return FileRecord("/x", kind, mode, 0, 0, 0, "", capabilities).privileges

    assert of(0o4755) == ("setuid",)
    assert of(0o2755) == ("setgid",)
    assert of(0o2745) == (), "mandatory locking"
    assert of(0o755, capabilities="01") == ("capabilities",)
    assert of(0o2775, kind="d") == ()
