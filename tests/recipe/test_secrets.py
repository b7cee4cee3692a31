"""Secrets: read when needed, masked, hashed by a real OpenSSL, never in a fingerprint."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from imagebuild import log
from imagebuild.errors import RecipeError
from imagebuild.recipe.secrets import FingerprintSecrets, RealSecrets, SampleSecrets, sha512_crypt
from imagebuild.schema.document import Mark
from imagebuild.schema.section import SecretRef

AT = Mark("folder/r.yaml", 7, 8)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f admin@example"
CRYPTED = "$6$abcdefgh$" + "x" * 86


def env(name: str) -> SecretRef:
    return SecretRef(env=name, file=None)


def refusal(secrets: RealSecrets | FingerprintSecrets, ref: SecretRef, at: Mark = AT) -> str:
    with pytest.raises(RecipeError) as caught:
        secrets.password_hash(ref, at)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize("password", ["hunter2-hunter2", "a b'c\"d$e\\f", "pässwörd ✓", "-n", "$$", "#x", "x" * 256])
def test_a_password_is_hashed_as_openssl_would_with_that_salt(password: str) -> None:
    crypted = sha512_crypt(password)
    salt = crypted.split("$")[2]
    again = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin", "-salt", salt], input=password, capture_output=True, text=True, check=True
    )
    assert crypted == again.stdout.strip()
    assert re.fullmatch(r"\$6\$[A-Za-z0-9./]{16}\$[A-Za-z0-9./]{86}", crypted)


def test_the_values_reach_no_log() -> None:
    crypted = RealSecrets({"PW": "correct horse"}).password_hash(env("PW"), AT)
    assert log.redact(f"rootpw correct horse {crypted}") == "rootpw [secret] [secret]"


def test_one_password_has_one_hash_in_a_build() -> None:
    secrets = RealSecrets({"A": "same-value", "B": "same-value"})
    assert secrets.password_hash(env("A"), AT) == secrets.password_hash(env("B"), AT)


def test_a_crypted_password_stays_as_it_is() -> None:
    assert RealSecrets({"PW": CRYPTED + "\n"}).password_hash(env("PW"), AT) == CRYPTED


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "the environment variable PW is not set"),
        ("", "environment variable PW is empty"),
        ("\n", "environment variable PW is empty"),
        ("a\nb", "the password in environment variable PW contains a line break or a control character"),
        ("x" * 257, "the password in environment variable PW is longer than 256 bytes"),
        ("$6$short", "the password in environment variable PW looks like a crypt(5) hash but is incomplete"),
    ],
)
def test_invalid_passwords_are_reported_at_the_recipes_line_without_the_value(value: str | None, message: str) -> None:
    environ = {} if value is None else {"PW": value}
    assert refusal(RealSecrets(environ), env("PW")) == f"folder/r.yaml:8: {message}"


def test_a_file_is_relative_to_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(CRYPTED + "\n")
    at = Mark(str(tmp_path / "r.yaml"), 1, 1)
    assert RealSecrets({}).password_hash(SecretRef(file="secret", env=None), at) == CRYPTED


@pytest.mark.parametrize(
    ("name", "message"), [("absent", "No such file"), (".", "Is a directory"), ("big", "is larger")]
)
def test_unreadable_files(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "big").write_bytes(b"x" * 70_000)
    at = Mark(str(tmp_path / "r.yaml"), 1, 3)
    said = refusal(RealSecrets({}), SecretRef(file=name, env=None), at)
    assert said.startswith(f"{tmp_path}/r.yaml:3: the file {tmp_path}")
    assert message in said


def test_the_home_of_nobody() -> None:
    ref = SecretRef(env=None, file="~no.such.user/x")
    expected = "folder/r.yaml:8: the file ~no.such.user/x cannot be read: there is no such user"
    assert refusal(RealSecrets({}), ref) == expected


def test_ssh_keys_from_a_file_of_several() -> None:
    secrets = RealSecrets({"KEYS": f"# admins\n{KEY}\n\n{KEY}2\n"})
    assert secrets.ssh_keys(env("KEYS"), AT) == (KEY, f"{KEY}2")


def test_a_wrong_ssh_key_is_not_shown() -> None:
    with pytest.raises(RecipeError) as caught:
        RealSecrets({"KEYS": "my-token-12345"}).ssh_keys(env("KEYS"), AT)
    assert "expected an SSH public key" in str(caught.value)
    assert "my-token" not in str(caught.value)


def test_a_private_key_is_reported_as_such() -> None:
    with pytest.raises(RecipeError, match="this is a private key"):
        RealSecrets({"KEYS": "-----BEGIN OPENSSH PRIVATE KEY-----\nabcd"}).ssh_keys(env("KEYS"), AT)


def test_fingerprints_follow_the_value_and_need_the_key() -> None:
    def placeholder(key: bytes, value: str) -> str:
        return FingerprintSecrets(key, {"PW": value}).password_hash(env("PW"), AT)

    assert placeholder(b"k", "one-password") == placeholder(b"k", "one-password")
    assert placeholder(b"k", "one-password") != placeholder(b"k", "two-password")
    assert placeholder(b"k", "one-password") != placeholder(b"l", "one-password")
    assert "one-password" not in placeholder(b"k", "one-password")
    (key,) = FingerprintSecrets(b"k", {"KEY": KEY}).ssh_keys(env("KEY"), AT)
    assert KEY.split()[1] not in key
    assert "PW is not set" in refusal(FingerprintSecrets(b"k", {}), env("PW"))


def test_samples_need_no_values() -> None:
    assert SampleSecrets().password_hash(env("ABSENT"), AT)
    assert SampleSecrets().ssh_keys(env("ABSENT"), AT)


def test_a_secret_that_is_part_of_the_mask_does_not_mask_it_again() -> None:
    log.hide("secret")
    log.hide("open sesame")
    assert log.redact("open sesame, secret") == "[secret], [secret]"


def test_a_passphrase_is_used_as_it_is_and_masked() -> None:
    phrase = RealSecrets({"P": "a phrase $6$ of its own\n"}).passphrase(env("P"), AT)
    assert phrase == "a phrase $6$ of its own"
    assert log.is_hidden(phrase)
    assert not log.is_hidden("passphrase-sample")
    shown = FingerprintSecrets(b"key", {"P": phrase}).passphrase(env("P"), AT)
    assert shown != FingerprintSecrets(b"key", {"P": phrase + "x"}).passphrase(env("P"), AT)
    assert phrase not in shown


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("short", "the passphrase in environment variable P has fewer than 8 characters"),
        ("x" * 513, "the passphrase in environment variable P is longer than 512 bytes"),
        ("one line\nand another", "contains a line break or a control character"),
    ],
)
def test_passphrases_that_nobody_could_enter(value: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        RealSecrets({"P": value}).passphrase(env("P"), AT)
    assert value not in str(caught.value)
