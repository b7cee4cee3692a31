"""Definitions of clones: those of our machines as golden files, and nothing of a hostile one."""

from __future__ import annotations

import re
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.errors import UsageError
from imagebuild.host.accelerator import Accelerator
from imagebuild.machine.domain_xml import definition
from imagebuild.verify import clone_xml
from imagebuild.verify.clone_xml import CloneXml, Overlay, parsed, with_serial
from imagebuild.verify.subject import Firmware, usual_machine
from tests.machine.machines import ALL, recipe

GOLDEN = Path(__file__).parent / "golden" / "clones"
WORK = Path("/run/w")
MACHINES = {
    "bios": "machine: {firmware: bios}",
    "uefi": "machine: {firmware: uefi}",
    "secure-boot-tpm": "machine: {firmware: uefi-secure, tpm: true}",
    "scsi-extra-disks": (
        "machine: {disk: {cache: directsync, iothread: true}}\ndisk: {bus: scsi}\n"
        "extra_disks: [{size: 1GiB, bus: scsi}, {size: 1GiB, bus: virtio}]"
    ),
    "graphics": "machine: {graphics: {type: spice, listen: 0.0.0.0, port: 5930}}",
    "no-serial": "machine: {serial: false}",
    "no-agent": "machine: {guest_agent: false}",
    "cards": (
        "machine: {networks: [nat, {type: user, model: e1000}, {type: bridge, bridge: br0, mac: '52:54:00:12:34:56'}]}"
    ),
    "hot-add-pinned": "machine: {vcpus: {current: 1, maximum: 8, cpuset: 0-7, pin: {0: 2}}, huge_pages: 1GiB}",
}


def cloned(wanted: ET.Element, disks: int = 1, accelerator: Accelerator = "kvm", **more: Any) -> CloneXml:
    overlays = [
        Overlay(WORK / f"disk{number}.qcow2", WORK / f"image{number}.qcow2", "qcow2") for number in range(disks)
    ]
    given: dict[str, Any] = {
        "name": "ours",
        "description": "our run",
        "console_log": WORK / "clone.log",
        "nvram": WORK / "clone.fd",
    }
    return clone_xml.clone(wanted, disks=overlays, accelerator=accelerator, **{**given, **more})


def valid(text: str) -> str:
    done = subprocess.run(["virt-xml-validate", "-", "domain"], input=text, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("accelerator", ["kvm", "tcg"])
@pytest.mark.parametrize("name", MACHINES)
def test_golden(name: str, accelerator: Accelerator, golden: Callable[[Path, str], None]) -> None:
    made = recipe(MACHINES[name])
    clone = cloned(
        parsed(definition(made), name), len(made.disks), accelerator, shell=accelerator == "tcg", own_daemon=False
    )
    assert valid(clone.text) == ""
    notes = "".join(f"<!-- {text} -->\n" for text in clone.replaced)
    golden(GOLDEN / f"{name}-{accelerator}.xml", f"{notes}{clone.text}\n")


@pytest.mark.parametrize("accelerator", ["kvm", "tcg"])
@pytest.mark.parametrize(("base", "more"), ALL.values(), ids=ALL)
def test_the_clone_of_every_machine_is_valid(base: str, more: str, accelerator: Accelerator) -> None:
    made = recipe(more, base)
    if made.machine.virt_type == "xen":
        with pytest.raises(UsageError, match="only kvm and qemu"):
            parsed(definition(made), "x")
        return
    clone = cloned(parsed(definition(made), "x"), len(made.disks), accelerator, shell=True)
    assert valid(clone.text) == ""
    assert clone.cards == len([card for card in made.machine.networks if card.type != "none"])
    assert clone.agent == made.machine.guest_agent
    assert clone.display == (made.machine.graphics.type != "none")


@pytest.mark.parametrize("firmware", ["bios", "uefi", "uefi-secure"])
def test_the_clone_of_the_usual_machine_is_valid(firmware: Firmware) -> None:
    clone = cloned(usual_machine(firmware=firmware))
    assert valid(clone.text) == ""
    assert (clone.cards, clone.serial, clone.agent, clone.display) == (1, True, True, False)
    assert cloned(usual_machine(firmware=firmware, bus="scsi")).text.count('dev="sda" bus="scsi"') == 1


def test_a_serial_port_for_the_shell_comes_second() -> None:
    without = parsed(definition(recipe("machine: {serial: false}")), "x")
    assert not cloned(without).serial
    shell = ET.fromstring(cloned(without, shell=True).text)
    assert [port.get("port") for port in shell.findall("devices/serial/target")] == ["0", "1"]
    assert len(shell.findall("devices/serial/log")) == 1


def test_a_user_gets_a_serial_console() -> None:
    without = parsed(definition(recipe("machine: {serial: false}")), "x")
    assert cloned(with_serial(without)).serial
    assert without.find("devices/serial") is None
    there = parsed(definition(recipe("")), "x")
    assert len(with_serial(there).findall("devices/serial")) == 1


HEAD = "<domain type='kvm'><memory>1048576</memory><os><type arch='x86_64' machine='q35'>hvm</type></os>"


def hostile(devices: str = "", more: str = "") -> ET.Element:
    return parsed(f"{HEAD}{more}<devices>{devices}</devices></domain>", "h.xml")


def foreign(clone: CloneXml) -> str:
    """The clone's text without the paths that are ours."""
    text = re.sub(r"</?[a-z_A-Z]+", "", clone.text).replace(" />", "")
    for path in (f"{WORK}/clone.log", "/dev/urandom"):
        text = text.replace(path, "")
    return re.sub(rf"{WORK}/(?:disk|image)\d+\.qcow2", "", text)


NOTHING_COMES_THROUGH = {
    "host device": "<hostdev mode='subsystem' type='pci'><source><address domain='0'/></source></hostdev>",
    "file system": "<filesystem type='mount'><source dir='/etc'/><target dir='x'/></filesystem>",
    "emulator": "<emulator>/bin/evil</emulator>",
    "disk": (
        "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/etc/shadow'/>"
        "<backingStore type='file'><source file='/etc/shadow'/></backingStore><target dev='vda' bus='virtio'/></disk>"
    ),
    "block device": "<disk type='block'><source dev='/dev/sda'/><target dev='/dev/sda' bus='/etc/shadow'/></disk>",
    "channel": (
        "<channel type='unix'><source mode='bind' path='/tmp/evil'/>"
        "<target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
    ),
    "serial to a file": (
        "<serial type='file'><source path='/etc/evil'/><log file='/etc/evil'/><target port='0'/></serial>"
    ),
    "serial over TCP": "<serial type='tcp'><source mode='bind' host='evil' service='1'/><target port='0'/></serial>",
    "parallel": "<parallel type='dev'><source path='/dev/lp0'/></parallel>",
    "redirection": "<redirdev bus='usb' type='tcp'><source mode='connect' host='evil'/></redirdev>",
    "smartcard": "<smartcard mode='host'/>",
    "shared memory": "<shmem name='evil'><server path='/tmp/evil'/></shmem>",
    "host's input": "<input type='evdev'><source dev='/dev/input/event0'/></input>",
    "passed-through input": "<input type='passthrough' bus='virtio'><source evdev='/dev/input/evil'/></input>",
    "video by a program": "<video><driver name='vhostuser'/><model type='virtio'/></video>",
    "video with a GPU": "<video><model type='virtio'><acceleration rendernode='/dev/evil'/></model></video>",
    "graphics": "<graphics type='vnc' port='5900' listen='0.0.0.0' socket='/tmp/evil' passwd='evil'/>",
    "TPM of the host": "<tpm model='/evil'><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>",
    "random numbers": "<rng model='virtio'><backend model='egd' type='tcp'><source host='evil'/></backend></rng>",
    "card": (
        "<interface type='bridge'><source bridge='evil0'/><mac address='52:54:00:12:34:56'/><script path='/bin/evil'/>"
        "<target dev='evil'/><model type='/evil'/><backend vhost='/dev/evil' tap='/dev/evil'/></interface>"
    ),
    "host's card": "<interface type='hostdev'><source><address type='pci'/></source></interface>",
    "controller": "<controller type='scsi'><driver iothread='7'/><address type='pci'/></controller>",
    "seclabel": "<controller type='scsi'><seclabel type='none'/></controller>",
    "namespace": "<controller type='usb'><q:evil xmlns:q='http://evil' q:a='evil'/></controller>",
    "watchdog": "<watchdog model='i6300esb' action='dump'/>",
    "vsock": "<vsock model='virtio'><cid auto='no' address='3'/></vsock>",
}


@pytest.mark.parametrize("devices", NOTHING_COMES_THROUGH.values(), ids=NOTHING_COMES_THROUGH)
def test_nothing_of_this_host_can_be_named(devices: str) -> None:
    clone = cloned(hostile(devices))
    assert valid(clone.text) == ""
    assert "/" not in foreign(clone)
    words = "evil|passthrough|evdev|hostdev|shadow|0\\.0\\.0\\.0|vhostuser|rendernode|seclabel|iothread|52:54"
    assert not re.search(words, clone.text)


@pytest.mark.parametrize(
    "more",
    [
        "<name>../../evil</name>",
        "<uuid>11111111-2222-3333-4444-555555555555</uuid>",
        "<description>imagebuild evil run</description>",
        "<title>evil</title>",
        "<metadata><x:evil xmlns:x='http://evil'/></metadata>",
        "<seclabel type='none' model='evil'/>",
        "<sysinfo type='fwcfg'><entry name='evil' file='/etc/shadow'/></sysinfo>",
        "<memoryBacking><source type='file'/><hugepages/></memoryBacking>",
        "<numatune><memory mode='strict' nodeset='0'/></numatune>",
        "<iothreads>100000</iothreads>",
        "<resource><partition>/evil</partition></resource>",
        "<launchSecurity type='sev'><dhCert>evil</dhCert></launchSecurity>",
        (
            "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
            "<qemu:arg value='-chardev'/><qemu:arg value='evil'/></qemu:commandline>"
        ),
        "<cputune><vcpupin vcpu='0' cpuset='5'/></cputune>",
        "<on_poweroff>preserve</on_poweroff><on_crash>coredump-destroy</on_crash>",
    ],
)
def test_no_setting_of_the_host_comes_through(more: str) -> None:
    clone = cloned(hostile(more=more))
    assert valid(clone.text) == ""
    assert not re.search(
        "evil|shadow|1111|qemu:|hugepages|vcpupin|iothreads|preserve|coredump|numatune|strict", clone.text
    )
    root = ET.fromstring(clone.text)
    assert (root.findtext("name"), root.findtext("description")) == ("ours", "our run")


def test_the_boot_comes_from_the_disk() -> None:
    system = (
        "<os firmware='efi'><type arch='/x' machine='../evil'>linux</type><loader readonly='yes' secure='yes'"
        " type='pflash'>/evil/CODE.fd</loader><nvram template='/evil/VARS.fd'>/evil/nvram</nvram><kernel>/evil</kernel>"
        "<initrd>/evil</initrd><cmdline>evil</cmdline><dtb>/evil</dtb><acpi><table type='slic'>/evil</table></acpi>"
        "<boot dev='network'/></os>"
    )
    wanted = parsed(f"<domain type='kvm'><memory>1</memory>{system}</domain>", "x")
    clone = cloned(wanted)
    assert valid(clone.text) == ""
    made = ET.fromstring(clone.text).find("os")
    assert made is not None
    assert [(one.tag, one.attrib, (one.text or "").strip()) for one in made] == [
        ("type", {}, "hvm"),
        ("loader", {"secure": "yes"}, ""),
        ("nvram", {}, str(WORK / "clone.fd")),
        ("boot", {"dev": "hd"}, ""),
    ]


def test_a_definition_that_names_the_files_of_its_firmware_boots_with_uefi() -> None:
    text = (
        "<domain type='kvm'><memory>1</memory><os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type>"
        "<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader></os></domain>"
    )
    made = ET.fromstring(cloned(parsed(text, "x")).text).find("os")
    assert made is not None
    assert made.attrib == {"firmware": "efi"}
    bios = ET.fromstring(cloned(parsed(text.replace("pflash", "rom"), "x")).text).find("os")
    assert bios is not None
    assert not bios.attrib


def test_disks_get_places_of_their_own() -> None:
    def places(devices: str, disks: int) -> list[tuple[str | None, str | None]]:
        root = ET.fromstring(cloned(hostile(devices), disks).text)
        return [(one.get("dev"), one.get("bus")) for one in root.findall("devices/disk/target")]

    same = "<disk><target dev='vda' bus='virtio'/></disk>" * 2 + "<disk><target dev='a/b' bus='xen'/></disk>"
    assert places(same, 3) == [("vda", "virtio"), ("vdb", "virtio"), ("vdc", "virtio")]
    assert places("<disk><target dev='../sda' bus='sata'/></disk>", 1) == [("sda", "sata")]
    assert places("<disk/>" * 40, 40)[38:] == [("vdam", "virtio"), ("vdan", "virtio")]


def test_a_guest_of_another_processor_is_not_emulated_on_an_old_one() -> None:
    arm = "<domain type='kvm'><memory>1</memory><os><type arch='aarch64' machine='virt'>hvm</type></os></domain>"
    assert "qemu64" not in cloned(parsed(arm, "x"), accelerator="tcg").text
    assert "qemu64" in cloned(hostile(), accelerator="tcg").text
    assert "qemu64" not in cloned(hostile(), accelerator="tcg", old_cpu=False).text
    assert "qemu64" not in cloned(hostile(), accelerator="kvm").text


def test_what_only_kvm_has_is_left_out_under_emulation() -> None:
    more = (
        "<features><acpi/><hyperv><relaxed state='on'/></hyperv><kvm><hidden state='on'/></kvm></features>"
        "<clock offset='utc'><timer name='rtc' tickpolicy='catchup'/><timer name='kvmclock' present='yes'/>"
        "<timer name='hypervclock' present='yes'/></clock>"
    )
    emulated = cloned(hostile(more=more), accelerator="tcg")
    assert valid(emulated.text) == ""
    assert re.findall("hyperv|kvm|rtc|acpi", emulated.text) == ["acpi", "rtc"]
    assert "without what KVM and Hyper-V offer to guests" in emulated.replaced
    assert "hypervclock" in cloned(hostile(more=more)).text


def test_a_sentence_is_said_once() -> None:
    cards = "<interface type='bridge'/>" * 3
    assert cloned(hostile(cards)).replaced == ("QEMU's user network instead of the host's (type bridge)",)


ENTITY = "<!DOCTYPE domain [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not valid XML"),
        ("<domain type='kvm'>", "not valid XML"),
        ("<domain type='kvm'>&amp;&nbsp;</domain>", "not valid XML"),
        (f"{ENTITY}<domain type='kvm'><name>&b;</name></domain>", "document type"),
        (f"<?x <!-- ?>{ENTITY}<?x --> ?><domain type='kvm'><name>&b;</name></domain>", "document type"),
        ("<!-- --><!DOCTYPE domain SYSTEM 'file:///etc/shadow'><domain type='kvm'/>", "document type"),
        ("<network><name>default</name></network>", "root element is 'network'"),
        ("<x:domain xmlns:x='http://x' type='kvm'/>", "root element"),
        ("<domain type='xen'/>", "type 'xen'"),
        ("<domain/>", "type None"),
        (f"<domain type='kvm'>{'<a>' * 100_000}", "nested too deeply"),
        (f"<domain type='kvm'>{'<a>' * 40}{'</a>' * 40}</domain>", "nested too deeply"),
        ("<domain type='kvm'>\0</domain>", "not valid XML"),
    ],
)
def test_what_is_no_definition_is_refused(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as refused:
        parsed(text, "h.xml")
    assert refused.value.message.startswith("h.xml")


def test_a_comment_and_a_declaration_are_accepted() -> None:
    text = f"<?xml version='1.0' encoding='utf-8'?>\n<!-- <!DOCTYPE x> -->\n{definition(recipe(''))}"
    assert cloned(parsed(text, "x")).cards == 1


TAGS = st.sampled_from(
    [
        "memory",
        "vcpu",
        "features",
        "clock",
        "timer",
        "cpu",
        "model",
        "topology",
        "numa",
        "cell",
        "feature",
        "os",
        "firmware",
        "loader",
        "type",
        "devices",
        "disk",
        "target",
        "source",
        "driver",
        "controller",
        "input",
        "video",
        "memballoon",
        "interface",
        "serial",
        "channel",
        "tpm",
        "backend",
        "rng",
        "graphics",
        "hyperv",
        "acpi",
        "currentMemory",
        "boot",
        "bios",
        "nvram",
        "{http://x/y}q",
        "hugepages",
        "memoryBacking",
        "address",
        "alias",
    ]
)
WORDS = st.sampled_from(
    ["/etc/shadow", "a/b", "..", "yes", "efi", "pflash", "vda", "virtio", "scsi", "usb", "1", "99", "tablet", "spice"]
) | st.text("abc/.:", max_size=5)
KEYS = st.sampled_from(
    [
        "type",
        "file",
        "dev",
        "bus",
        "name",
        "model",
        "path",
        "cpuset",
        "secure",
        "{http://x/y}k",
        "mode",
        "arch",
        "machine",
    ]
)


def element(tag: str, attributes: dict[str, str], text: str | None, children: list[ET.Element]) -> ET.Element:
    made = ET.Element(tag, attributes)
    made.text = text
    made.extend(children)
    return made


TREES = st.recursive(
    st.builds(element, TAGS, st.dictionaries(KEYS, WORDS, max_size=4), WORDS | st.none(), st.just([])),
    lambda inner: st.builds(
        element, TAGS, st.dictionaries(KEYS, WORDS, max_size=3), WORDS | st.none(), st.lists(inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.lists(TREES, max_size=6), st.lists(TREES, max_size=8), st.sampled_from(["kvm", "tcg"]), st.booleans())
def test_no_path_of_any_definition_comes_through(
    around: list[ET.Element], devices: list[ET.Element], accelerator: Accelerator, shell: bool
) -> None:
    root = element("domain", {"type": "kvm"}, None, [*around, element("devices", {}, None, devices)])
    read = parsed(ET.tostring(root, encoding="unicode"), "x")
    clone = cloned(with_serial(read), 2, accelerator, shell=shell)
    assert "/" not in foreign(clone)
    assert clone.text.count(str(WORK)) == 4 + 1  # two disks, and the console of the first serial port


def test_a_host_without_an_emulated_tpm() -> None:
    wanted = parsed("<domain type='kvm'><memory>1</memory><devices><tpm model='tpm-crb'/></devices></domain>", "x")
    assert "<tpm" in cloned(wanted).text
    without = cloned(wanted, tpm=False)
    assert "<tpm" not in without.text
    assert any("swtpm" in text for text in without.replaced)


def test_a_clone_has_no_more_memory_than_the_host() -> None:
    wanted = parsed(
        "<domain type='kvm'><memory unit='GiB'>64</memory><currentMemory>1048576</currentMemory><vcpu>2</vcpu>"
        "<cpu><numa><cell id='0' cpus='0-1' memory='64' unit='GiB'/></numa></cpu></domain>",
        "x",
    )
    whole, limited = cloned(wanted, memory=100 << 30), cloned(wanted, memory=2 << 30)
    assert ET.fromstring(whole.text).findtext("memory") == "64"
    assert "<numa" in whole.text
    made = ET.fromstring(limited.text)
    assert (made.findtext("memory"), made.findtext("currentMemory")) == (str(2 << 20), "1048576")
    assert "<numa" not in limited.text
    assert any("2048 MiB of memory instead of 65536 MiB" in text for text in limited.replaced)
