"""Accounts and tuning in kickstarts: what pykickstart reads back, and what the scripts actually
write.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kickstarts import NONCE, folders, recipe

from imagebuild.anaconda import boot_options
from imagebuild.errors import RecipeError
from imagebuild.kickstart import syntax
from imagebuild.kickstart.check import ParsedKickstart, check
from imagebuild.kickstart.render import Rendered, render
from imagebuild.recipe.load import validate
from imagebuild.recipe.secrets import FingerprintSecrets, RealSecrets, Secrets
from imagebuild.schema.document import Document
from imagebuild.schema.fields import forbidden_character

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f admin@example"
OTHER = KEY.replace("admin", "other")
HASH = "$6$saltsalt$" + "x" * 86
SECRETS = RealSecrets({"PW": HASH, "KEYS": f"{KEY}\n{OTHER}\n"})
ANACONDA = """\
name: small
os: {{family: redhat, distribution: {}, version: {}}}
installer: {{source: {{tree: "https://mirror.example/os"}}}}
kickstart: {{template: redhat.ks.j2}}
"""
RELEASES = [("centos", 7), ("rocky", 8), ("almalinux", 9), ("centos-stream", 10), ("fedora", 45)]
USERS = f"""\
root: {{ssh_keys: ['{KEY}']}}
users:
  - {{name: ops, password: {{env: PW}}, sudo: true, groups: [adm], uid: 2001, gid: 2002, gecos: "Ops, it's 100%"}}
  - {{name: eve, sudo: true, ssh_keys: ['{KEY}', {{env: KEYS}}], shell: /bin/sh}}
"""


def rendered(folder: Path, more: str, distribution: str, version: int, secrets: Secrets = SECRETS) -> Rendered:
    made = recipe(more, ANACONDA.format(distribution, version))
    return render(made, payload=boot_options.payload(made), nonce=NONCE, secrets=secrets, folders=folders(folder))


def parsed(folder: Path, more: str, distribution: str, version: int) -> ParsedKickstart:
    made = recipe(more, ANACONDA.format(distribution, version))
    return check(rendered(folder, more, distribution, version), version=syntax.of(made).name)


def scripts(kickstart: ParsedKickstart) -> list[str]:
    return [script.script for script in kickstart.handler.scripts]


def ran(script: str, root: Path) -> None:
    """Run a %post script, with ``root`` in place of the guest's root folder."""
    for name in ("etc", "usr/lib/tuned"):
        (root / name).mkdir(parents=True, exist_ok=True)
    moved = re.sub(r"(?<![\w.\]])/(etc|usr/lib)/", rf"{root}/\1/", script)
    subprocess.run(["/bin/sh", "-c", moved], check=True, capture_output=True)


@pytest.mark.parametrize(("distribution", "version"), RELEASES)
def test_users_of_the_redhat_family(tmp_path: Path, distribution: str, version: int) -> None:
    kickstart = parsed(tmp_path, USERS, distribution, version)
    # pykickstart warns about each further key of an account, and accepts it.
    assert all("has already been defined" in warning.message for warning in kickstart.warnings)
    ops, eve = kickstart.handler.user.userList
    assert (ops.name, ops.password, ops.isCrypted, ops.lock) == ("ops", HASH, True, False)
    assert (ops.groups, ops.uid, ops.gid, ops.gecos, ops.shell) == (
        ["adm", "wheel"], 2001, 2002, "Ops, it's 100%", "/bin/bash",
    )  # fmt: skip
    assert (eve.name, eve.lock, eve.groups, eve.shell) == ("eve", True, [], "/bin/sh")
    assert kickstart.handler.group.groupList == []  # Anaconda creates the account's own group
    if version == 7:
        (roots,) = [script for script in scripts(kickstart) if "account=root\n" in script]
        (eves,) = [script for script in scripts(kickstart) if "account=eve\n" in script]
        assert (roots.count(KEY), eves.count(KEY), eves.count(OTHER)) == (1, 2, 1)
    else:
        keys = [(key.username, key.key) for key in kickstart.handler.sshkey.sshUserList]
        assert keys == [("root", KEY), ("eve", KEY), ("eve", KEY), ("eve", OTHER)]


def test_keys_with_an_installer_without_sshkey(tmp_path: Path) -> None:
    kickstart = parsed(tmp_path, USERS, "centos", 7)
    (script,) = [script for script in scripts(kickstart) if "account=root\n" in script]
    passwd = f"getent() {{ echo root:x:0:0::{tmp_path}:/bin/sh; }}\n"
    subprocess.run(["/bin/sh", "-c", passwd + script], check=True)
    keys = tmp_path / ".ssh" / "authorized_keys"
    assert keys.read_text() == f"{KEY}\n"
    assert (keys.stat().st_mode & 0o777, keys.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_sudo_does_not_ask_a_user_without_a_password(tmp_path: Path) -> None:
    (script,) = [script for script in scripts(parsed(tmp_path, USERS, "rocky", 9)) if "sudoers" in script]
    (tmp_path / "etc/sudoers.d").mkdir(parents=True)
    ran(script, tmp_path)
    (file,) = (tmp_path / "etc/sudoers.d").iterdir()
    assert (file.name, file.stat().st_mode & 0o777) == ("eve", 0o440)
    assert file.read_text() == "eve ALL=(ALL:ALL) NOPASSWD: ALL\n"


def test_a_scheduler_is_a_udev_rule(tmp_path: Path) -> None:
    kickstart = parsed(tmp_path, "tuning: {io_scheduler: mq-deadline}", "fedora", 45)
    (script,) = [script for script in scripts(kickstart) if "scheduler" in script]
    ran(script, tmp_path)
    rule = (tmp_path / "etc/udev/rules.d/60-imagebuild-scheduler.rules").read_text()
    assert rule.count("\n") == 1
    assert [part.strip() for part in rule.split(",")] == [
        'ACTION=="add|change"', 'SUBSYSTEM=="block"', 'ENV{DEVTYPE}=="disk"', 'KERNEL=="sd*|vd*|xvd*|nvme*"',
        'ATTR{queue/scheduler}="mq-deadline"',
    ]  # fmt: skip


def test_a_scheduler_of_centos_7_is_a_kernel_argument(tmp_path: Path) -> None:
    kickstart = parsed(tmp_path, "tuning: {io_scheduler: deadline}", "centos", 7)
    assert kickstart.handler.bootloader.appendLine == "elevator=deadline"
    assert not any("udev" in script for script in scripts(kickstart))


def test_a_profile_of_tuned(tmp_path: Path) -> None:
    kickstart = parsed(tmp_path, "tuning: {tuned_profile: virtual-guest}", "rocky", 10)
    assert "tuned" in kickstart.packages
    assert kickstart.handler.services.enabled == ["tuned"]
    (script,) = [script for script in scripts(kickstart) if "tuned" in script]
    with pytest.raises(subprocess.CalledProcessError) as caught:
        ran(script, tmp_path)
    assert caught.value.stderr == b"tuned has no profile virtual-guest\n"
    profile = tmp_path / "usr/lib/tuned/profiles/virtual-guest/tuned.conf"
    profile.parent.mkdir(parents=True)
    profile.touch()
    (tmp_path / "etc/tuned").mkdir()
    ran(script, tmp_path)
    assert (tmp_path / "etc/tuned/active_profile").read_text() == "virtual-guest\n"
    assert (tmp_path / "etc/tuned/profile_mode").read_text() == "manual\n"


STATIC = """\
network: {bootproto: static, device: eth1, address: 192.0.2.10, netmask: 255.255.255.0, gateway: 192.0.2.1,
  nameservers: [192.0.2.53, 192.0.2.54, '2001:db8::53']}
"""


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ("", "DEVICE=eth0\nTYPE=Ethernet\nONBOOT=yes\nBOOTPROTO=dhcp\n"),
        (STATIC, ("DEVICE=eth1\nTYPE=Ethernet\nONBOOT=yes\nBOOTPROTO=none\nIPADDR=192.0.2.10\nNETMASK=255.255.255.0\n"
                 "GATEWAY=192.0.2.1\nDNS1=192.0.2.53\nDNS2=192.0.2.54\nDNS3=2001:db8::53\n")),
    ],
)  # fmt: skip
def test_the_interface_of_centos_7(tmp_path: Path, more: str, text: str) -> None:
    (script,) = [script for script in scripts(parsed(tmp_path, more, "centos", 7)) if "ifcfg" in script]
    old = tmp_path / "etc/sysconfig/network-scripts/ifcfg-ens3"
    old.parent.mkdir(parents=True)
    old.write_text("HWADDR=52:54:00:00:00:01\n")
    ran(script, tmp_path)
    (file,) = old.parent.iterdir()
    assert (file.name, file.read_text()) == (f"ifcfg-{'eth1' if more else 'eth0'}", text)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ("", (
            "[connection]\nid=eth0\ntype=ethernet\ninterface-name=eth0\n\n[ipv4]\nmethod=auto\n\n[ipv6]\n"
            "method=auto\n"
        )),
        (STATIC, ("[connection]\nid=eth1\ntype=ethernet\ninterface-name=eth1\n\n[ipv4]\nmethod=manual\n"
            "address1=192.0.2.10/24,192.0.2.1\n"
                 "dns=192.0.2.53;192.0.2.54;\n\n[ipv6]\nmethod=auto\ndns=2001:db8::53;\n")),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("distribution", "version"), RELEASES[1:])
def test_the_interface_of_later_releases(tmp_path: Path, more: str, text: str, distribution: str, version: int) -> None:
    (script,) = [script for script in scripts(parsed(tmp_path, more, distribution, version)) if "nmconn" in script]
    old = tmp_path / "etc/NetworkManager/system-connections/enp1s0.nmconnection"
    old.parent.mkdir(parents=True)
    old.write_text("[connection]\nuuid=1\n")
    ran(script, tmp_path)
    (file,) = old.parent.iterdir()
    assert (file.name, file.stat().st_mode & 0o777) == (f"{'eth1' if more else 'eth0'}.nmconnection", 0o600)
    assert file.read_text() == text


def test_users_and_services_of_the_debian_family(tmp_path: Path) -> None:
    made = recipe(USERS + "services: {enabled: [ssh], disabled: [logrotate.timer]}\n")
    template = "{% import 'guest.ks.j2' as guest %}{{ guest.accounts(users, os) }}{{ guest.services(services) }}"
    (tmp_path / "t.ks.j2").write_text(template)
    text = render(made, payload=None, nonce=NONCE, secrets=SECRETS, folders=folders(tmp_path)).text  # type: ignore[arg-type]
    assert "group --name=ops --gid=2002\n" in text
    assert "--groups=adm,sudo " in text
    assert text.endswith("services --enabled=ssh --disabled=logrotate.timer\n")


@pytest.mark.seconds
@given(gecos=st.text(max_size=40), release=st.sampled_from(RELEASES))
def test_any_comment_arrives_or_is_refused(tmp_path: Path, gecos: str, release: tuple[str, int]) -> None:
    distribution, version = release
    raw = {
        "name": "small",
        "os": {"family": "redhat", "distribution": distribution, "version": str(version)},
        "installer": {"source": {"tree": "https://mirror.example/os"}},
        "kickstart": {"template": "redhat.ks.j2"},
        "users": [{"name": "a", "gecos": gecos}],
    }
    try:
        made = validate(Document.of("small.yaml", raw), Path("small.yaml"))
    except RecipeError:
        assert ":" in gecos or "${" in gecos or forbidden_character(gecos)
        return
    kickstart = render(
        made, payload=boot_options.payload(made), nonce=NONCE, secrets=SECRETS, folders=folders(tmp_path)
    )
    (user,) = check(kickstart, version=syntax.of(made).name).handler.user.userList
    assert user.gecos == gecos


@pytest.mark.parametrize(("bus", "name"), [("virtio", "vda"), ("scsi", "sda"), ("sata", "sda")])
def test_only_the_system_disk_is_installed_on(tmp_path: Path, bus: str, name: str) -> None:
    more = f"disk: {{bus: {bus}}}\nextra_disks: [{{size: 1GiB, bus: {bus}}}]\n"
    assert parsed(tmp_path, more, "rocky", 10).handler.ignoredisk.onlyuse == [name]


def test_a_users_secrets_are_in_no_fingerprint_and_change_it(tmp_path: Path) -> None:
    def text(password: str, key: str) -> str:
        secrets = FingerprintSecrets(b"key", {"PW": password, "KEYS": key})
        return rendered(tmp_path, USERS, "rocky", 9, secrets).text

    first = text(HASH, OTHER)
    assert HASH not in first
    assert OTHER not in first
    assert first == text(HASH, OTHER)
    assert first != text(HASH.replace("x", "y"), OTHER)
    assert first != text(HASH, KEY)
