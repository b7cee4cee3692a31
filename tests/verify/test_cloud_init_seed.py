"""The seed that cloud-init in a clone is given, and the checks of what became of it, on a scripted guest."""

from __future__ import annotations

import json
import os
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from imagebuild.image import iso, nocloud
from imagebuild.verify import clone_seed, registry
from imagebuild.verify.check import CloneSeed, NotCheckable
from imagebuild.verify.checks.cloud_init_seed import status
from imagebuild.verify.subject import Subject, SubjectDisk, usual_machine
from tests.verify.test_acting_checks import FakeGuest, problems
from tests.verify.test_clone_xml import cloned, valid

DONE = "status: done\nextended_status: done\nboot_status_code: enabled-by-generator\ndetail: DataSourceNoCloud\nexit 0"
FAILED = "status: error\nerrors:\n\t- ('ssh', ValueError('no key'))\nexit 1"
INSTANCE = "8d3f9a3e-3c1f-4a44-9d0b-6f2f0c5f1e77"
RENDERED = "/etc/network/interfaces.d/50-cloud-init"
BOOTS = ("0f0c3a9d-7be1-4c6a-8f21-d0e94b7c6a35", "1f0c3a9d-7be1-4c6a-8f21-d0e94b7c6a35")
BEFORE = (
    f"{INSTANCE}\n{'a' * 64}  /etc/ssh/ssh_host_ed25519_key\n"
    "/var/lib/cloud/instance/sem/config_ssh 2026-11-29 10:00:00.000000000 +0000"
)


@pytest.fixture
def seed(tmp_path: Path) -> CloneSeed:
    return clone_seed.new(tmp_path, "clone-1", os.getuid()).values


def guest(seed: CloneSeed, **answers: str) -> FakeGuest:
    """A guest that is as it should be, but for ``answers``."""
    right = {"program": "yes", "status": DONE, "instance": seed.instance_id, "name": seed.hostname}
    right |= {"network": RENDERED, "account": "debian", **answers}
    return FakeGuest(*right.values(), seed=seed)


def test_each_clone_has_a_seed_of_its_own(tmp_path: Path) -> None:
    first, second = (clone_seed.new(tmp_path, name, os.getuid()) for name in ("clone-1", "clone-2"))
    for name in ("instance_id", "hostname", "private_key"):
        assert getattr(first.values, name) != getattr(second.values, name)
    public = first.values.private_key.with_suffix(".pub").read_text()
    assert public != second.values.private_key.with_suffix(".pub").read_text()
    assert first.values.private_key.stat().st_mode & 0o077 == 0
    assert first.path.stat().st_mode & 0o777 == 0o600
    iso.extract(first.path, [("meta-data", tmp_path / "meta-data"), ("user-data", tmp_path / "user-data")])
    meta = json.loads((tmp_path / "meta-data").read_text())
    assert meta == {
        "instance-id": first.values.instance_id,
        "local-hostname": first.values.hostname,
        "public-keys": [public.strip()],
    }
    assert (tmp_path / "user-data").read_bytes().startswith(b"#cloud-config\n")
    label = subprocess.run(["blkid", "-p", "-s", "LABEL", "-o", "value", first.path], capture_output=True, check=True)
    assert label.stdout == b"cidata\n"
    again = clone_seed.new(tmp_path, "clone-1", os.getuid())
    assert again.values.instance_id != first.values.instance_id
    assert not list(tmp_path.glob(".seed-*"))


def test_the_interface_of_a_seed(seed: CloneSeed) -> None:
    assert "network-config" not in clone_seed.seed_files(seed)
    config = json.loads(clone_seed.seed_files(seed, "eth0")["network-config"])
    assert config["config"] == [{"type": "physical", "name": "eth0", "subnets": [{"type": "dhcp4"}]}]
    subject = Subject("x", (SubjectDisk(Path("x"), "raw"),), usual_machine())
    assert subject.seeded_device is None
    named = replace(subject, checks=[registry.call(clone_seed.CHECK, {"device": "ens3"})])
    assert named.seeded_device == "ens3"


def test_only_who_asks_for_the_check_gets_a_seed() -> None:
    subject = Subject("x", (SubjectDisk(Path("x"), "raw"),), usual_machine())
    assert not subject.seeded
    assert replace(subject, checks=[registry.call(clone_seed.CHECK)]).seeded


def test_the_seed_is_a_cdrom_behind_the_disks() -> None:
    made = cloned(usual_machine(bus="sata"), seed=Path("/run/w/clone-1-seed.iso"))
    assert valid(made.text) == ""
    disk, cdrom = ET.fromstring(made.text).findall("devices/disk")
    assert (disk.get("device"), cdrom.get("device")) == ("disk", "cdrom")
    assert cdrom.find("readonly") is not None
    names = [one.find("target") for one in (disk, cdrom)]
    assert [one.get("dev") for one in names if one is not None] == ["sda", "sdb"]
    assert "cdrom" not in cloned(usual_machine()).text


def test_other_architectures_have_no_sata() -> None:
    machine = ET.fromstring("<domain><os><type arch='aarch64'>hvm</type></os><devices/></domain>")
    nocloud.attach(machine, "/seed.iso")
    target = machine.find("devices/disk/target")
    assert target is not None
    assert target.get("bus") == "scsi"


def test_an_instance_of_its_own(seed: CloneSeed) -> None:
    made = guest(seed)
    assert problems(clone_seed.CHECK, made) == []
    assert made.answers == []
    left = guest(seed, network="")
    assert problems(clone_seed.CHECK, left) == ["cloud-init has not written the network configuration"]
    without = FakeGuest("yes", DONE, seed.instance_id, seed.hostname, "debian", seed=seed)
    assert problems(clone_seed.CHECK, without, network=False) == []


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"status": FAILED}, "cloud-init ended with the status 'error': errors: - ('ssh', ValueError('no key'))"),
        ({"status": "sh: syntax error"}, "the status of cloud-init could not be read: 'sh: syntax error'"),
        ({"name": "debian"}, "the host name is 'debian', not 'clone-1-"),
        ({"account": ""}, "no account has the key of the seed"),
        ({"account": "debian\nroot"}, "the key of the seed is in 2 accounts"),
        ({"account": "$(reboot)"}, "the key of the seed is in 1 accounts"),
    ],
)
def test_what_is_wrong_with_an_instance(seed: CloneSeed, answers: dict[str, str], says: str) -> None:
    (problem,) = problems(clone_seed.CHECK, guest(seed, **answers))
    assert problem.startswith(says)


def test_a_seed_that_was_not_read(seed: CloneSeed) -> None:
    found = problems(clone_seed.CHECK, FakeGuest("yes", DONE, "iid-datasource-none", seed=seed))
    assert found == ["cloud-init did not read the seed: its instance is 'iid-datasource-none'"]
    assert problems(clone_seed.CHECK, FakeGuest("no", seed=seed)) == ["cloud-init is not installed"]
    with pytest.raises(NotCheckable, match="got no seed"):
        problems(clone_seed.CHECK, FakeGuest())


def test_a_login_that_is_refused(seed: CloneSeed) -> None:
    made = guest(seed)
    made.ssh_port = 1  # nothing listens there
    (problem,) = problems(clone_seed.CHECK, made)
    assert problem.startswith("nobody can log in as debian with the key of the seed and use sudo: ")
    assert "refused" in problem


@pytest.mark.parametrize("text", ["status: done\nexit 2", "status: running\nexit 0", "status: disabled\nexit 0"])
def test_only_done_without_errors_is_done(text: str) -> None:
    assert status(text)
    assert status(DONE) == ""


def test_an_instance_stays_over_a_reboot(seed: CloneSeed) -> None:
    assert problems("reboot", FakeGuest(BOOTS[0], BEFORE, BOOTS[1], BEFORE, seed=seed)) == []
    for old, new, what in (
        (INSTANCE, BOOTS[0], INSTANCE),
        ("a" * 64, "b" * 64, "/etc/ssh/ssh_host_ed25519_key"),
        ("10:00", "11:00", "/var/lib/cloud/instance/sem/config_ssh"),
    ):
        changed = FakeGuest(BOOTS[0], BEFORE, BOOTS[1], BEFORE.replace(old, new), seed=seed)
        expected = f"after the reboot cloud-init has made a new instance, or run again: {what} changed"
        assert problems("reboot", changed) == [expected]
