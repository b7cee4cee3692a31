"""The files that make a copy of this machine's root a libvirt host of its own, and the keys of a fleet."""

from __future__ import annotations

import os
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

POOL = "/var/lib/libvirt/images"
HOST_KEY = "etc/ssh/fleet_host_key"
EMPTY = (
    "etc/libvirt", "var/lib/libvirt", "var/log/libvirt", "etc/pki", "data",
    "root", "home", "tmp", "var/tmp", "srv", "mnt", str(Path(__file__).parents[2].relative_to("/")),
)  # fmt: skip
"""Folders in which a host shows nothing of this machine, the checkout among them."""
ACCOUNTS = {
    "operator": "may use libvirt, but not write into the pool's folder",
    "socket-only": "has no shell: every command is libvirt's, which connects to the daemon's socket",
}
FIRST_BOOT = """\
cp -a "$1/." "$2"
cd "$2"
chown -R root:root etc/ssh/fleet_* etc/libvirt etc/pki root
chown 60001:60001 home/operator
chown 60002:60002 home/socket-only
chmod 0700 root home/*
chmod 1777 tmp var/tmp
chmod 0600 etc/ssh/fleet_host_key
"""
SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey /{key}
AuthorizedKeysFile /etc/ssh/fleet_authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
UseDNS no
MaxStartups 100
PidFile /run/sshd.pid
Subsystem sftp internal-sftp
Match User socket-only
  ForceCommand virt-ssh-helper qemu:///system
"""
LIBVIRTD = """\
listen_tls = 1
listen_tcp = 0
auth_unix_ro = "none"
auth_unix_rw = "none"
host_uuid = "{uuid}"
"""
# Hosts share this machine's control groups, in which the VMs of two hosts may have the same name.
QEMU = """\
cgroup_controllers = []
security_driver = "none"
"""
POOL_XML = f"""\
<pool type='dir'>
  <name>default</name>
  <target><path>{POOL}</path></target>
</pool>
"""
NETWORK_XML = """\
<network>
  <name>default</name>
  <bridge name='virbr0'/>
  <ip address='192.168.122.1' netmask='255.255.255.0'>
    <dhcp><range start='192.168.122.2' end='192.168.122.254'/></dhcp>
  </ip>
</network>
"""
AUTOSTARTED = {"storage/default.xml": POOL_XML, "qemu/networks/default.xml": NETWORK_XML}
"""Below /etc/libvirt."""
SSH = """\
Host *
  IdentityFile "{identity}"
  IdentitiesOnly yes
  UserKnownHostsFile "{known_hosts}"
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  BatchMode yes
"""


@dataclass(frozen=True)
class Keys:
    """What a client of a fleet has, and what its hosts know it by."""

    folder: Path

    @property
    def identity(self) -> Path:
        return self.folder / "identity"

    @property
    def stranger(self) -> Path:
        """A key that no host knows."""
        return self.folder / "stranger"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        return self.folder / "ssh_config"

    @property
    def bin(self) -> Path:
        """A folder whose ssh uses the configuration: to be put first on PATH."""
        return self.folder / "bin"

    @property
    def pki(self) -> Path:
        """The value of a TLS URI's ``pkipath``."""
        return self.folder / "pki"

    @property
    def stranger_pki(self) -> Path:
        """The same of somebody whom no host knows, and who knows no host."""
        return self.folder / "stranger-pki"

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment, but ssh, which libvirt starts, uses ``ssh_config``."""
        return {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}


def generate(*argv: str | Path) -> None:
    subprocess.run(argv, check=True, timeout=30, stdin=subprocess.DEVNULL, capture_output=True)


def ssh_key(path: Path) -> str:
    """Make a key pair and return the public key."""
    generate("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", path)
    return path.with_name(f"{path.name}.pub").read_text()


def make_keys(folder: Path) -> Keys:
    keys = Keys(folder)
    ssh_key(keys.identity)
    ssh_key(keys.stranger)
    keys.known_hosts.touch()
    keys.ssh_config.write_text(SSH.format(identity=keys.identity, known_hosts=keys.known_hosts))
    keys.bin.mkdir()
    ssh = keys.bin / "ssh"
    ssh.write_text(f"#!/bin/sh\nexec /usr/bin/ssh -F '{keys.ssh_config}' \"$@\"\n")
    ssh.chmod(0o755)
    authority(keys.pki)
    certificate(keys.pki, "server")
    certificate(keys.pki, "client")
    authority(keys.stranger_pki)
    certificate(keys.stranger_pki, "client")
    return keys


def authority(folder: Path) -> None:
    folder.mkdir()
    generate(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", "/CN=fleet", "-keyout", folder / "cakey.pem", "-out", folder / "cacert.pem",
    )  # fmt: skip


def certificate(folder: Path, role: str) -> None:
    """A certificate for 127.0.0.1, for the server or the client, signed by the folder's authority."""
    generate(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", f"/CN={role}", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE",
        "-CA", folder / "cacert.pem", "-CAkey", folder / "cakey.pem",
        "-keyout", folder / f"{role}key.pem", "-out", folder / f"{role}cert.pem",
    )  # fmt: skip


def _accounts(name: str, lines: str) -> str:
    """A file of /etc as it is here, with the accounts of a host."""
    return Path("/etc", name).read_text() + lines


def _group(line: str) -> str:
    return f"{line}{'' if line.endswith(':') else ','}operator,socket-only" if line.startswith("libvirt:") else line


def write_files(folder: Path, keys: Keys, *, port: int) -> None:
    """Write what :mod:`fleet_boot` needs into a host's folder."""
    root = folder / "files"
    groups = "\n".join(map(_group, Path("/etc/group").read_text().splitlines()))
    texts = {
        "etc/passwd": _accounts("passwd", "".join(
            f"{name}:x:{60001 + number}:{60001 + number}::/home/{name}:/bin/sh\n"
            for number, name in enumerate(ACCOUNTS))),
        "etc/shadow": _accounts("shadow", "".join(f"{name}:*:20000:0:99999:7:::\n" for name in ACCOUNTS)),
        "etc/group": groups + "\noperator:x:60001:\nsocket-only:x:60002:\n",
        "etc/hostname": f"{folder.name}\n",
        "etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {folder.name}\n",
        "etc/ssh/fleet_config": SSHD.format(port=port, key=HOST_KEY),
        "etc/ssh/fleet_authorized_keys": keys.identity.with_name("identity.pub").read_text(),
        "etc/libvirt/libvirtd.conf": LIBVIRTD.format(uuid=uuid.uuid4()),
        "etc/libvirt/qemu.conf": QEMU,
        **{f"etc/libvirt/{name}": text for name, text in AUTOSTARTED.items()},
        "etc/pki/CA/cacert.pem": (keys.pki / "cacert.pem").read_text(),
        "etc/pki/libvirt/servercert.pem": (keys.pki / "servercert.pem").read_text(),
        "etc/pki/libvirt/private/serverkey.pem": (keys.pki / "serverkey.pem").read_text(),
    }  # fmt: skip
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for name in ("root", "var/lib/libvirt/images", *(f"home/{account}" for account in ACCOUNTS)):
        (root / name).mkdir(parents=True)
    for name in AUTOSTARTED:
        link = root / "etc/libvirt" / Path(name).parent / "autostart" / Path(name).name
        link.parent.mkdir()
        link.symlink_to(f"/etc/libvirt/{name}")
    (folder / "empty").write_text("\n".join(EMPTY))
    (folder / "first-boot.sh").write_text(FIRST_BOOT)


def make_disk(path: Path, size: int) -> None:
    """An ext4 file system in a sparse file."""
    with path.open("xb") as file:
        os.truncate(file.fileno(), size)
    generate("mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", "-E", "nodiscard,lazy_itable_init=1", path)
