"""Values of the first boot: what is accepted, and how it is encoded."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from imagebuild.errors import UsageError
from imagebuild.publish import first_boot
from imagebuild.publish.first_boot import FirstBootValues
from imagebuild.publish.state import FirstBootSupport, Published, decoded, encoded, first
from tests.publish.conftest import published

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICCONPgQ2YYMhmOw9gZBcFogfjLaw1hEcublqIMGAQFg one"
UUID = "5216aed5-6fc9-4944-aa60-7d34cd12ba5d"
CLOUD_INIT = FirstBootSupport(cloud_init=True, systemd=257)


def version(support: FirstBootSupport | None) -> Published:
    return replace(published("1"), first_boot=support)


def decoded_credential(text: str) -> str:
    return base64.b64decode(text.partition("=")[2]).decode()


@pytest.mark.parametrize(
    "name",
    ["a\nb", "a b", "-a", "a-", "a..b", "", "a/b", "ä", "a" * 65, "a;b", "$(id)", "a\u2028b", "%H", "a\\nb", "a:b"],
)
def test_a_host_name_is_one_word(name: str) -> None:
    with pytest.raises(UsageError, match="--hostname: "):
        first_boot.read(name)


@pytest.mark.parametrize("name", ["web1", "web1.example.org", "a", "a" * 63, "xn--bcher-kva"])
def test_host_names(name: str) -> None:
    assert first_boot.read(name).hostname == name


def test_the_host_name_is_the_machine_s_unless_that_is_none() -> None:
    assert first_boot.host_name(FirstBootValues(), "web1") == "web1"
    assert first_boot.host_name(FirstBootValues("other"), "web_1") == "other"
    with pytest.raises(UsageError, match="web_1 as its host name") as raised:
        first_boot.host_name(FirstBootValues(), "web_1")
    assert raised.value.hint == "give one with --hostname"


def test_keys_are_read_from_several_files(tmp_path: Path) -> None:
    one, two = tmp_path / "one.pub", tmp_path / "two.pub"
    one.write_text(f"{KEY}\n")
    two.write_text(f"# a comment\n\n{KEY}\n{KEY.replace(' one', ' two')}\n")
    assert first_boot.read(ssh_keys=[one, two]).ssh_keys == (KEY, KEY.replace(" one", " two"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n", "this is a private key"),
        (f'command="/bin/sh" {KEY}\n', "expected an SSH public key"),
        ("ssh-ed25519 AAAA x\n", "is not a complete"),
        ("# nothing\n", "there is no key in it"),
        ("", "the file is empty"),
    ],
)
def test_other_files_are_no_keys(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        first_boot.read(ssh_keys=[path])


def test_a_seed(tmp_path: Path) -> None:
    data = tmp_path / "user-data"
    data.write_text("#cloud-config\npackages: [vim]\n")
    network = tmp_path / "network"
    network.write_text("version: 2\nethernets: {eth0: {dhcp4: true}}\n")
    values = replace(first_boot.read("web1.example.org", (), data, None, network), ssh_keys=(KEY,))
    files = first_boot.seed_files(values, "web1", UUID)
    assert files["user-data"] == data.read_bytes()
    assert files["network-config"] == network.read_bytes()
    meta = yaml.safe_load(files["meta-data"])
    assert meta == {"instance-id": UUID, "local-hostname": "web1.example.org", "public-keys": [KEY]}


def test_a_seed_without_user_data_is_complete_too() -> None:
    files = first_boot.seed_files(FirstBootValues(), "web1", UUID)
    assert sorted(files) == ["meta-data", "user-data"]
    assert yaml.safe_load(files["user-data"]) == {}
    assert files["user-data"].startswith(b"#cloud-config\n")
    assert yaml.safe_load(files["meta-data"]) == {"instance-id": UUID, "local-hostname": "web1"}


def test_further_meta_data(tmp_path: Path) -> None:
    meta = tmp_path / "meta"
    meta.write_text("local-hostname: other\npublic-keys: one\nrole: [db, {x: 1}]\n")
    values = replace(first_boot.read(meta_data=meta), ssh_keys=(KEY,))
    found = yaml.safe_load(first_boot.seed_files(values, "web1", UUID)["meta-data"])
    assert found == {
        "instance-id": UUID, "local-hostname": "other", "public-keys": ["one", KEY], "role": ["db", {"x": 1}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("user_data", "packages: [vim]\n", "cloud-init would ignore it"),
        ("user_data", "#cloud-config\npassword: [secret-word\n", r"this is not YAML \(line 3\)"),
        ("user_data", "#cloud-config\n- secret-word\n", "not a mapping"),
        ("user_data", "#cloud-config\npassword: *secret-word\n", r"this is not YAML \(line 2\)"),
        ("user_data", f"#cloud-config\nx: {'[' * 5000}\n", "this is not YAML"),
        ("meta_data", "instance-id: x\n", "the instance-id is the UUID"),
        ("meta_data", "!!python/object/apply:os.system [secret-word]\n", "this is not YAML"),
        ("network_config", "- eth0\n", "not a mapping"),
        ("network_config", " \n", "the file is empty"),
    ],
)
def test_wrong_files_are_refused_without_repeating_them(tmp_path: Path, option: str, text: str, message: str) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as raised:
        first_boot.read(**{option: path})
    assert "secret-word" not in f"{raised.value.message} {raised.value.hint}"


def test_what_may_be_secret_is_not_shown() -> None:
    values = FirstBootValues(user_data=b"secret-word", meta_data={"a": "secret-word"}, network_config=b"secret-word")
    assert "secret-word" not in repr(values)


def test_credentials() -> None:
    system, files, keys = first_boot.credentials(FirstBootValues("web1", (KEY, f"{KEY}2")), "x", 257)
    assert system == "io.systemd.credential:system.hostname=web1"
    assert files.startswith("io.systemd.credential.binary:tmpfiles.extra=")
    assert decoded_credential(files) == (
        "f+ /etc/hostname 0644 root root - web1\\n\nw /proc/sys/kernel/hostname - - - - web1\n"
    )
    assert keys.startswith("io.systemd.credential.binary:ssh.authorized_keys.root=")
    assert decoded_credential(keys) == f"{KEY}\n{KEY}2\n"
    assert len(first_boot.credentials(FirstBootValues(), "x", 252)) == 1, "system.hostname came with version 254"
    with pytest.raises(UsageError, match="too many keys"):
        first_boot.credentials(FirstBootValues("web1", tuple(f"{KEY}{at}" for at in range(200))), "x", 257)


KEYS = FirstBootValues(ssh_keys=(KEY,))
DATA = FirstBootValues(user_data=b"#cloud-config\n{}")


@pytest.mark.parametrize(
    ("support", "values", "expected"),
    [
        (CLOUD_INIT, DATA, "cloud-init"),
        (FirstBootSupport(systemd=252), KEYS, "credentials"),
        (FirstBootSupport(systemd=251), FirstBootValues(), ""),
        (FirstBootSupport(systemd=251), KEYS, "neither a host name nor SSH keys"),
        (FirstBootSupport(systemd=257), DATA, "it has no cloud-init"),
        (FirstBootSupport(systemd=257, root_keys=True), KEYS, "root has SSH keys"),
        (FirstBootSupport(systemd=257, root_keys=True), FirstBootValues("web"), "credentials"),
        (None, FirstBootValues(), ""),
        (None, DATA, "published without a list"),
    ],
)
def test_the_way_depends_on_the_guest(support: FirstBootSupport | None, values: FirstBootValues, expected: str) -> None:
    if " " not in expected:
        assert first_boot.way(version(support), values) == expected
    else:
        with pytest.raises(UsageError, match=expected):
            first_boot.way(version(support), values)


def test_a_record_says_what_a_version_supports() -> None:
    for support in (None, CLOUD_INIT):
        state = first("web", version(support))
        assert decoded(encoded(state), "web") == state
    old = encoded(first("web", version(None))).replace('"first_boot": null', '"ignored": 1')
    assert "first_boot" not in old
    found = decoded(old, "web").version("1")
    assert found is not None
    assert found.first_boot is None
