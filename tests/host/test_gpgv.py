"""Signatures by keys that are generated for the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gpg_key import Signer, signer

from imagebuild.errors import HostError, ImageBuildError
from imagebuild.host import gpgv

TEXT = b"SHA256 (a.iso) = 00\n- a line that is dash-escaped\n"


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    with signer(tmp_path_factory.mktemp("gpg") / "ours", "ours@example") as made:
        yield made


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    with signer(tmp_path_factory.mktemp("gpg") / "theirs", "theirs@example") as made:
        yield made


@pytest.mark.parametrize("armoured", [True, False], ids=["armoured", "binary"])
def test_an_embedded_signature(ours: Signer, tmp_path: Path, armoured: bool) -> None:
    signed = ours.gpg("--clear-sign", content=TEXT)
    assert gpgv.is_signed_inside(signed)
    keys = ours.keys(tmp_path / "keys", armoured=armoured)
    # text around the signed part is not signed
    around = b"SHA256 (evil.iso) = 66\n\n" + signed + b"\nSHA256 (evil.iso) = 66\n"
    assert gpgv.verified(signed, None, keys, "CHECKSUM") == TEXT
    assert b"evil" not in gpgv.verified(around, None, keys, "CHECKSUM")


def test_an_armoured_message(ours: Signer, tmp_path: Path) -> None:
    signed = ours.gpg("--sign", "--armor", content=TEXT)
    assert gpgv.is_signed_inside(signed)
    assert gpgv.verified(signed, None, ours.keys(tmp_path / "keys", armoured=True), "CHECKSUM.asc") == TEXT


@pytest.mark.parametrize("options", [["--armor"], []], ids=["asc", "sig"])
def test_a_detached_signature(ours: Signer, tmp_path: Path, options: list[str]) -> None:
    assert not gpgv.is_signed_inside(TEXT)
    beside = ours.gpg("--detach-sign", *options, content=TEXT)
    assert gpgv.verified(TEXT, beside, ours.keys(tmp_path / "keys", armoured=True), "CHECKSUM") == TEXT


def test_a_keyring_with_several_keys(ours: Signer, theirs: Signer, tmp_path: Path) -> None:
    both = theirs.gpg("--export", "--armor") + b"some words between\n" + ours.gpg("--export", "--armor")
    (tmp_path / "keys").write_bytes(both)
    assert gpgv.verified(ours.gpg("--clear-sign", content=TEXT), None, tmp_path / "keys", "CHECKSUM") == TEXT


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: text.replace(b"= 00", b"= 01"), (
            "CHECKSUM: its signature is invalid: the file was "
            "changed after it was signed"
        )),
        (lambda text: TEXT, "CHECKSUM: it has no valid signature by a key in the keyring"),
        (lambda text: text[: len(text) // 2], "CHECKSUM: it has no valid signature by a key in the keyring"),
    ],
    ids=["changed", "not signed", "cut"],
)  # fmt: skip
def test_an_invalid_signature(ours: Signer, tmp_path: Path, spoil: Callable[[bytes], bytes], message: str) -> None:
    signed = spoil(ours.gpg("--clear-sign", content=TEXT))
    with pytest.raises(ImageBuildError) as wrong:
        gpgv.verified(signed, None, ours.keys(tmp_path / "keys", armoured=True), "CHECKSUM")
    assert wrong.value.message == f"{message} ({tmp_path / 'keys'})"


def test_a_valid_signature_by_another_key(ours: Signer, theirs: Signer, tmp_path: Path) -> None:
    signed = theirs.gpg("--clear-sign", content=TEXT)
    with pytest.raises(ImageBuildError, match=r"it is signed with the key [0-9A-F]{16}, which is not in the keyring"):
        gpgv.verified(signed, None, ours.keys(tmp_path / "keys", armoured=True), "CHECKSUM")


def test_a_revoked_key(tmp_path: Path) -> None:
    with signer(tmp_path / "gone", "gone@example") as one:
        signed = one.gpg("--clear-sign", content=TEXT)
        (written,) = (one.home / "openpgp-revocs.d").iterdir()
        one.gpg("--import", content=written.read_bytes().replace(b":-----BEGIN", b"-----BEGIN"))
        keys = one.keys(tmp_path / "keys", armoured=True)
    with pytest.raises(ImageBuildError, match="it is signed with a key that was revoked"):
        gpgv.verified(signed, None, keys, "CHECKSUM")


def test_the_first_existing_keyring(tmp_path: Path) -> None:
    (tmp_path / "second").touch()
    assert gpgv.keyring([tmp_path / "first", tmp_path / "second"]) == tmp_path / "second"
    with pytest.raises(HostError, match=r"the keyring for verifying the signature is not on this system: .*/first"):
        gpgv.keyring([tmp_path / "first"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!!!!\n-----END PGP PUBLIC KEY BLOCK-----\n",
            "its armour is not base64"),
        (b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n", "its armour has no end"),
    ],
)  # fmt: skip
def test_a_damaged_keyring(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(HostError, match=message):
        gpgv.dearmoured(content, tmp_path / "keys")
