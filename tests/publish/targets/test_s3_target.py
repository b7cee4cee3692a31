"""S3: credentials, encryption, uploads of others, and servers that ignore conditions."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import InBucket, Place
from storage_driver import MIB, TEMPLATE, after, opened, publish, quiet
from storage_peers import ACCESS, BUCKET, SECRET

from imagebuild.errors import HostError, UsageError
from imagebuild.publish.release import Release
from imagebuild.publish.targets.s3_lock import S3Lock
from imagebuild.storage import s3_client

RECORD = f"{TEMPLATE}.json"
pytestmark = pytest.mark.seconds
Releases = tuple[Release, Release]


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No credentials of this machine's user."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


@pytest.fixture
def rclone(make_place: Callable[[str], Place]) -> InBucket:
    place = make_place("s3")
    assert isinstance(place, InBucket)
    return place


@pytest.fixture
def conditional(make_place: Callable[[str], Place]) -> InBucket:
    place = make_place("s3-conditional")
    assert isinstance(place, InBucket)
    return place


def without(entry: dict[str, object], *keys: str) -> dict[str, object]:
    return {key: value for key, value in entry.items() if key not in keys}


def test_a_wrong_secret_is_refused(rclone: InBucket, releases: Releases) -> None:
    wrong = rclone.folder / "wrong"
    wrong.write_text("wrong-secret")
    place = opened("s3", rclone.entry | {"secret_key": {"file": "wrong"}}, rclone.folder)
    with pytest.raises(HostError, match="signature") as caught:
        publish(place, releases[0])
    assert "secret key" in (caught.value.hint or "")
    assert "wrong-secret" not in caught.value.message
    assert rclone.names() == set()


def test_a_secret_that_is_not_there(rclone: InBucket) -> None:
    place = opened("s3", rclone.entry | {"secret_key": {"env": "NOT_SET"}}, rclone.folder)
    with pytest.raises(UsageError, match="NOT_SET"):
        place.templates()


def test_credentials_as_the_usual_tools_find_them(rclone: InBucket, aws: pytest.MonkeyPatch) -> None:
    entry = without(rclone.entry, "access_key", "secret_key")
    with pytest.raises(HostError, match="credentials"):
        opened("s3", entry, rclone.folder).templates()
    aws.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    aws.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert opened("s3", entry, rclone.folder).templates() == []


def test_an_endpoint_of_the_environment_must_be_encrypted_too(rclone: InBucket, aws: pytest.MonkeyPatch) -> None:
    endpoint = str(rclone.entry["endpoint"])
    aws.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    entry = without(rclone.entry, "endpoint")
    with pytest.raises(HostError, match="not encrypted"):
        opened("s3", entry | {"insecure": False}, rclone.folder).templates()
    assert opened("s3", entry, rclone.folder).templates() == []


def test_a_bucket_that_does_not_exist(rclone: InBucket, releases: Releases) -> None:
    place = opened("s3", rclone.entry | {"url": "s3://not-there/x"}, rclone.folder)
    with pytest.raises(HostError, match="bucket does not exist") as caught:
        publish(place, releases[0])
    assert "never created" in (caught.value.hint or "")


def test_a_server_that_is_not_there(rclone: InBucket) -> None:
    place = opened("s3", rclone.entry | {"endpoint": "http://127.0.0.1:1"}, rclone.folder)
    with pytest.raises(HostError, match=r"127\.0\.0\.1:1"):
        place.templates()


def test_without_the_package(rclone: InBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(HostError, match="s3fs") as caught:
        rclone.target().templates()
    assert "imagebuild[s3]" in (caught.value.hint or "")


def upload(place: InBucket, key: str, number: int, content: bytes) -> str:
    found = place.client.list_multipart_uploads(Bucket=BUCKET, Prefix=key).get("Uploads") or ()
    name: str = (
        next((one["UploadId"] for one in found), "")
        or (place.client.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"])
    )
    place.client.upload_part(Bucket=BUCKET, Key=key, UploadId=name, PartNumber=number, Body=content)
    return name


def test_wrong_bytes_in_an_earlier_upload_are_sent_again(conditional: InBucket, releases: Releases) -> None:
    file = releases[0].files[0]
    content = file.path.read_bytes()
    key = f"{conditional.prefix}/{file.stored.name}"
    upload(conditional, key, 1, content[: 5 * MIB])
    upload(conditional, key, 2, content[5 * MIB : 10 * MIB - 1] + b"\0")
    assert publish(conditional.target(), releases[0]) == file.stored.size - 5 * MIB
    assert conditional.read(file.stored.name) == content
    assert not conditional.client.list_multipart_uploads(Bucket=BUCKET, Prefix=key).get("Uploads")


def test_removing_aborts_uploads(conditional: InBucket, releases: Releases) -> None:
    name = releases[0].files[0].stored.name
    upload(conditional, f"{conditional.prefix}/{name}", 1, b"x")
    target = conditional.target()
    assert dict(target.stored()) == {name: 0}
    target.remove(name)
    assert dict(target.stored()) == {}


def test_an_object_that_appears_meanwhile_is_not_replaced(conditional: InBucket, releases: Releases) -> None:
    file = releases[0].files[0]

    def progress(done: int, total: int) -> None:
        conditional.write(file.stored.name, b"somebody else's")

    target = conditional.target()
    target.send(file, None, progress)
    assert conditional.read(file.stored.name) == b"somebody else's"
    assert target.digest(file.stored, quiet) == hashlib.sha256(b"somebody else's").hexdigest()


def test_the_record_is_replaced_only_if_it_is_the_one_that_was_read(
    conditional: InBucket, releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another publisher is faster, in the moment between the comparison and the switch."""
    one, two = releases
    target = conditional.target()
    publish(target, one)
    state = target.state(TEMPLATE)
    call = s3_client.S3Client.call

    def late(self: s3_client.S3Client, method: str, **arguments: Any) -> Any:
        if method == "put_object" and arguments["Key"].endswith(RECORD):
            conditional.write(RECORD, b"somebody else's")
        return call(self, method, **arguments)

    monkeypatch.setattr(s3_client.S3Client, "call", late)
    with pytest.raises(HostError, match="changed by somebody else"):
        target.switch(after(state, two))
    assert conditional.read(RECORD) == b"somebody else's"


@pytest.mark.parametrize(("kind", "keeps"), [("s3", False), ("s3-conditional", True)])
def test_a_server_that_ignores_conditions_is_found_out(
    kind: str, keeps: bool, make_place: Callable[[str], Place]
) -> None:
    place = make_place(kind)
    assert isinstance(place, InBucket)
    lock = S3Lock(place.target()._client, f"{place.prefix}/lock", place.kind)  # type: ignore[attr-defined]
    lock.take(5)
    assert lock.conditional is keeps
    lock.release()
    assert place.read("lock") == b"{}\n"


def test_a_server_may_show_a_digest_that_it_never_checked(rclone: InBucket) -> None:
    """Why digests are read back: this SHA-256 is only what the sender said."""
    wrong = "A" * 43 + "="
    rclone.client.put_object(Bucket=BUCKET, Key=f"{rclone.prefix}/x", Body=b"x", ChecksumSHA256=wrong)
    shown = rclone.client.head_object(Bucket=BUCKET, Key=f"{rclone.prefix}/x", ChecksumMode="ENABLED")
    assert shown["ChecksumSHA256"] == wrong
