"""The hosts that publishing is tested with do what :mod:`tests.publish.fleet` says."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.publish.fleet import FleetHost, HostFailed, fleet
from tests.publish.fleet_cable import processes
from tests.publish.fleet_files import HOST_KEY

pytestmark = pytest.mark.seconds

MIB = 1 << 20
DOMAIN = """\
<domain type='qemu'>
  <name>small</name>
  <memory unit='MiB'>64</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/var/lib/libvirt/images/overlay.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <interface type='network'><source network='default'/></interface>
    <serial type='pty'><log file='/var/log/libvirt/small.log'/></serial>
  </devices>
</domain>
"""


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[FleetHost]]:
    with fleet(2, folder=tmp_path_factory.mktemp("fleet")) as running:
        yield running


@pytest.fixture
def host(hosts: list[FleetHost]) -> FleetHost:
    return hosts[0]


def client(host: FleetHost, *argv: str, seconds: float = 30) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, env=host.keys.environment, capture_output=True, text=True, timeout=seconds)


def hostname(host: FleetHost, uri: str, *options: str) -> str:
    """What a client prints that asks for the host's name, or its error."""
    done = client(host, "virsh", *options, "-c", uri, "hostname")
    return done.stdout.strip() if done.returncode == 0 else done.stderr


def ssh(host: FleetHost, command: str, user: str = "root", *options: str) -> subprocess.CompletedProcess[str]:
    return client(host, "ssh", *options, "-p", str(host.port), f"{user}@127.0.0.1", command)


def not_answering(host: FleetHost, uri: str) -> bool:
    try:
        client(host, "virsh", "-c", uri, "hostname", seconds=2)
    except subprocess.TimeoutExpired:
        return True
    return False


@pytest.mark.parametrize("user", ["root", "operator", "socket-only"])
def test_each_host_is_reached_over_ssh(hosts: list[FleetHost], user: str) -> None:
    assert [hostname(host, host.address(user)) for host in hosts] == ["host1", "host2"]


def test_each_host_is_reached_over_tls_and_requires_a_certificate(hosts: list[FleetHost]) -> None:
    assert [hostname(host, host.tls_uri) for host in hosts] == ["host1", "host2"]
    stranger = hosts[0].tls_uri.replace(str(hosts[0].keys.pki), str(hosts[0].keys.stranger_pki))
    assert "Failed to verify peer's certificate" in hostname(hosts[0], stranger)
    assert "Unable to read TLS confirmation" in hostname(hosts[0], f"{stranger}&no_verify=1")


def test_a_user_has_a_daemon_of_his_own(host: FleetHost) -> None:
    uri = host.address("operator", "session")
    assert hostname(host, uri) == "host1"
    assert "default" not in client(host, "virsh", "-c", uri, "pool-list", "--all").stdout


def test_hosts_share_neither_files_nor_pools_nor_identity(hosts: list[FleetHost]) -> None:
    one, other = hosts
    one.virsh("vol-create-as", "default", "only-here", "1M")
    Path(one.outside("/root/only-here")).touch()
    assert one.outside(f"{one.pool_path}/only-here").stat().st_size == MIB
    assert "only-here" in ssh(one, f"ls {one.pool_path}").stdout
    assert "only-here" in one.run("ls", "/root")
    assert "only-here" not in other.virsh("vol-list", "default") + other.run("ls", "/root", other.pool_path)
    assert not Path(one.pool_path, "only-here").exists()
    assert "<uuid>" in one.virsh("capabilities")
    assert one.virsh("capabilities").split("</uuid>")[0] != other.virsh("capabilities").split("</uuid>")[0]


def test_kvm_is_hidden(host: FleetHost) -> None:
    with pytest.raises(HostFailed):
        host.run("test", "-e", "/dev/kvm")


def test_accounts_have_no_more_rights_than_they_should(host: FleetHost) -> None:
    assert "Permission denied" in ssh(host, f"touch {host.pool_path}/mine", "operator").stderr
    assert ssh(host, "echo shell", "operator").stdout == "shell\n"
    assert ssh(host, "echo shell", "socket-only").stdout == ""
    stranger = f"-F none -i {host.keys.stranger} -o BatchMode=yes -o UserKnownHostsFile={host.known_hosts}".split()
    assert "Permission denied" in ssh(host, "true", "root", *stranger).stderr


def test_a_host_without_python(hosts: list[FleetHost]) -> None:
    without = hosts[1]
    assert ssh(without, "command -v python3").stdout == "/usr/bin/python3\n"
    without.without("python3*")
    assert ssh(without, "command -v python3 /usr/bin/python3 || echo none").stdout == "none\n"
    assert ssh(hosts[0], "python3 -c 'print(1)'").stdout == "1\n"


def test_a_host_that_dies_and_is_started_again(host: FleetHost) -> None:
    host.outside("/tmp/small.xml").write_text(DOMAIN)
    host.virsh("define", "/tmp/small.xml")
    host.outside(f"{host.pool_path}/kept").write_text("bytes")
    before = processes(host._init)
    host.kill()
    assert not [process for process in before if Path(f"/proc/{process}").exists()]
    assert "Connection refused" in hostname(host, host.uri)
    assert "Connection refused" in hostname(host, host.tls_uri)
    host.restart()
    assert hostname(host, host.uri) == hostname(host, host.tls_uri) == "host1"
    assert "small" in host.virsh("list", "--all")
    assert host.outside(f"{host.pool_path}/kept").read_text() == "bytes"
    host.virsh("undefine", "small")


def test_libvirtd_dies_and_is_started_again(host: FleetHost) -> None:
    host.kill_libvirtd()
    assert "libvirt-sock': Connection refused" in hostname(host, host.uri)
    assert "Connection refused" in hostname(host, host.tls_uri)
    assert ssh(host, "echo shell").stdout == "shell\n"
    host.start_libvirtd()
    assert hostname(host, host.uri) == hostname(host, host.tls_uri) == "host1"


def test_a_cable_that_is_pulled_ends_no_connection(host: FleetHost) -> None:
    waiting = subprocess.Popen(
        ["ssh", "-p", str(host.port), "root@127.0.0.1", "cat"],
        env=host.keys.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip
    assert waiting.stdin is not None
    assert waiting.stdout is not None
    with waiting:
        print("before", file=waiting.stdin)
        assert waiting.stdout.readline() == "before\n"
        host.cut()
        try:
            print("meanwhile", file=waiting.stdin)
            assert not_answering(host, host.uri)
            assert not_answering(host, host.tls_uri)
            assert "Connection timed out" in ssh(host, "true", "root", "-o", "ConnectTimeout=1").stderr
            assert waiting.poll() is None
            assert host.virsh("hostname").strip() == "host1", "only its network is cut"
        finally:
            host.mend()
        assert waiting.stdout.readline() == "meanwhile\n"
        waiting.stdin.close()
    assert hostname(host, host.uri) == hostname(host, host.tls_uri) == "host1"


def test_a_full_pool(host: FleetHost) -> None:
    space = os.statvfs(host.outside(host.pool_path)).f_bavail
    host.fill(3 * MIB)
    with pytest.raises(HostFailed, match="No space left on device"):
        host.virsh("vol-create-as", "default", "large", "4M")
    host.virsh("vol-create-as", "default", "fits", "2M")
    assert "filler" not in host.virsh("vol-list", "default")
    host.virsh("vol-delete", "fits", "default")
    host.outside("/root/other-file-system").write_bytes(bytes(4 * MIB))
    host.clear()
    assert os.statvfs(host.outside(host.pool_path)).f_bavail == space


def test_a_host_key_that_changes(tmp_path: Path) -> None:
    with fleet(1, folder=tmp_path) as (host,):
        assert hostname(host, host.uri) == "host1"
        host.new_host_key()
        # Not in libvirt's error if known_hosts has a long path: findings/libvirt-long-ssh-error-lost.sh
        assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in ssh(host, "true").stderr
        assert "Cannot recv data" in hostname(host, host.uri)
        host.known_hosts.write_text("")
        assert "host key is known" in hostname(host, host.uri)
        key = host.outside(f"/{HOST_KEY}.pub").read_text()
        host.known_hosts.write_text(f"[127.0.0.1]:{host.port} {key}")
        assert hostname(host, host.uri) == "host1"


def in_use(folder: Path) -> bool:
    """Whether a disk of a host in the folder is mounted anywhere."""
    return any(str(folder) in file.read_text() for file in Path("/sys/block").glob("loop*/loop/backing_file"))


def test_nothing_is_left(tmp_path: Path) -> None:
    with fleet(1, folder=tmp_path) as (host,):
        inside = processes(host._init)
        assert len(inside) >= 4
        assert in_use(tmp_path)
    assert not [process for process in inside if Path(f"/proc/{process}").exists()]
    assert not in_use(tmp_path)
    assert str(tmp_path) not in Path("/proc/mounts").read_text()


def test_nothing_is_left_of_a_run_that_is_killed(tmp_path: Path) -> None:
    program = """if True:
        import os, sys
        from pathlib import Path
        from tests.publish.fleet import fleet
        with fleet(1, folder=Path(sys.argv[1])) as (host,):
            print(host._init, flush=True)
            os.kill(os.getpid(), 9)
    """
    killed = subprocess.run(
        [sys.executable, "-c", program, tmp_path],
        cwd=Path(__file__).parents[2], env={"PATH": os.environ["PATH"]}, stdout=subprocess.PIPE, text=True, timeout=60,
    )  # fmt: skip
    assert killed.returncode == -9
    process = Path("/proc", killed.stdout.strip())
    deadline = time.monotonic() + 60
    while process.exists() or in_use(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.vm
def test_a_host_runs_virtual_machines(host: FleetHost) -> None:
    base, overlay = (f"{host.pool_path}/{name}.qcow2" for name in ("base", "overlay"))
    host.run("qemu-img", "create", "-q", "-f", "qcow2", base, "1G")
    host.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", overlay)
    host.outside("/tmp/small.xml").write_text(DOMAIN)
    host.virsh("define", "/tmp/small.xml")
    host.virsh("start", "small")
    assert host.virsh("domstate", "small").strip() == "running"
    assert base in host.virsh("domblklist", "small", "--details") + host.virsh("dumpxml", "small")
    host.kill_libvirtd()
    host.start_libvirtd()
    assert host.virsh("domstate", "small").strip() == "running"
    host.kill()
    host.restart()
    assert host.virsh("domstate", "small").strip() == "shut off"
    host.virsh("start", "small")
    host.virsh("destroy", "small")
    host.virsh("undefine", "small")
