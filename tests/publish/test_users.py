"""What uses the files of a template."""

from __future__ import annotations

from imagebuild.host.pools import DefinedDomain, Pool, PoolVolume
from imagebuild.publish import users
from imagebuild.publish.users import Inventoried

FOLDER = "/var/lib/libvirt/images"
ONE = "web--1--0123456789abcdef.qcow2"
TWO = "web--2--fedcba9876543210.qcow2"


def volume(name: str, backing: str = "", *, folder: str = FOLDER, format: str = "qcow2") -> PoolVolume:
    return PoolVolume(name, f"{folder}/{name}", "qcow2", 1 << 30, 1 << 20, backing, format if backing else "")


def domain(name: str, *sources: str, active: bool = False, extra: str = "", driver: str = "qcow2") -> DefinedDomain:
    disks = "".join(f"<disk type='file' device='disk'><driver type='{driver}'/>{source}</disk>" for source in sources)
    text = f"<domain><devices>{disks}</devices></domain>"
    return DefinedDomain(name, "uuid", active, text, (text, *([extra] if extra else [])))


def seen(*volumes: PoolVolume, domains: tuple[DefinedDomain, ...] = (), pointers: tuple[str, ...] = ()) -> Inventoried:
    pools = [Pool("default", "dir", FOLDER, active=True, available=1 << 30)]
    return Inventoried(pools, {"default": volumes}, domains, frozenset(pointers))


def used(found: Inventoried, resolved: dict[str, str] | None = None) -> dict[str, str]:
    return users.users([ONE, TWO], found, resolved)


def test_nothing_uses_a_file_that_nothing_names() -> None:
    assert used(seen(volume(ONE), volume(TWO), volume("vm.qcow2", f"{FOLDER}/base.qcow2"))) == {}


def test_an_overlay_uses_its_backing_file() -> None:
    for spelling in (f"{FOLDER}/{ONE}", ONE, f"./{ONE}", f"{FOLDER}/../images/{ONE}", f"/somewhere/else/{ONE}"):
        assert used(seen(volume("vm.qcow2", spelling))) == {ONE: "the volume vm.qcow2 in the pool default"}, spelling


def test_a_link_to_a_file_is_followed_where_the_host_says_what_it_is() -> None:
    found = seen(volume("vm.qcow2", f"{FOLDER}/link"))
    assert used(found) == {}
    assert used(found, {f"{FOLDER}/link": f"{FOLDER}/{ONE}"}) == {ONE: "the volume vm.qcow2 in the pool default"}


def test_domains_use_their_disks_and_their_chains_and_snapshots() -> None:
    assert used(seen(domains=(domain("vm", f"<source file='{FOLDER}/{ONE}'/>"),))) == {ONE: "the domain vm"}
    assert used(seen(domains=(domain("vm", f"<source pool='default' volume='{ONE}'/>"),))) == {ONE: "the domain vm"}
    chain = (
        f"<source file='/x'/><backingStore type='file'><format type='qcow2'/><source file='/y'/>"
        f"<backingStore type='file'><format type='qcow2'/><source file='{FOLDER}/{TWO}'/></backingStore></backingStore>"
    )
    assert used(seen(domains=(domain("vm", chain, active=True),))) == {TWO: "the domain vm"}
    disk = f"<disk><source file='{FOLDER}/{ONE}'/></disk>"
    snapshot = f"<domainsnapshot><domain><devices>{disk}</devices></domain></domainsnapshot>"
    assert used(seen(domains=(domain("vm", extra=snapshot),))) == {ONE: "the domain vm"}
    migrating = f"<mirror type='file'><format type='qcow2'/><source file='{FOLDER}/{ONE}'/></mirror>"
    assert used(seen(domains=(domain("vm", f"<source file='/x'/>{migrating}", active=True),))) == {ONE: "the domain vm"}


def test_the_pointer_s_own_definition_is_no_use_but_its_running_machine_is() -> None:
    pointer = domain("web", f"<source file='{FOLDER}/{TWO}'/>")
    assert used(seen(domains=(pointer,), pointers=("web",))) == {}
    running = f"<domain><devices><disk><source file='{FOLDER}/{ONE}'/></disk></devices></domain>"
    started = domain("web", f"<source file='{FOLDER}/{TWO}'/>", active=True, extra=running)
    assert used(seen(domains=(started,), pointers=("web",))) == {ONE: "the domain web"}


def test_several_users_are_counted() -> None:
    found = seen(*(volume(f"vm{number}.qcow2", ONE) for number in range(3)))
    assert used(found) == {ONE: "the volume vm0.qcow2 in the pool default and 2 more"}


def test_pools_that_are_not_active_are_reported() -> None:
    asleep = Pool("backup", "dir", "/backup", active=False, available=0)
    assert users.unknown_pools(Inventoried([asleep], {}, (), frozenset())) == ["backup"]


def test_images_outside_of_all_pools_must_be_examined() -> None:
    vm = domain("vm", "<source file='/home/vm.qcow2'/>")
    assert list(users.unknown_files(seen(domains=(vm,)), [ONE])) == ["/home/vm.qcow2"]
    raw = domain("vm", "<source file='/home/vm.raw'/>", driver="raw")
    assert list(users.unknown_files(seen(domains=(raw,)), [ONE])) == [], "a raw image has no backing file"
    block = domain("vm", "<source dev='/dev/vg/vm'/>")
    assert list(users.unknown_files(seen(domains=(block,)), [ONE])) == ["/dev/vg/vm"]
    inside = domain("vm", f"<source file='{FOLDER}/vm.qcow2'/>")
    assert list(users.unknown_files(seen(volume("vm.qcow2", ONE), domains=(inside,)), [ONE])) == []
    below = seen(volume("vm.qcow2", "/elsewhere/base.qcow2"))
    assert list(users.unknown_files(below, [ONE])) == ["/elsewhere/base.qcow2"]
    base = volume("base.qcow2", f"{FOLDER}/{ONE}", folder="/elsewhere")
    examined = Inventoried(below.pools, {**below.volumes, "folder /elsewhere": [base]}, (), frozenset())
    assert list(users.unknown_files(examined, [ONE])) == []
    assert used(examined) == {ONE: "the volume base.qcow2 in the pool folder /elsewhere"}


def test_an_image_that_is_missing_in_a_pool_s_folder_is_not_there() -> None:
    gone = domain("vm", f"<source file='{FOLDER}/gone.qcow2'/>")
    assert users.unknown_files(seen(domains=(gone,)), [ONE]) == {}
    assert users.unknown_files(seen(domains=(domain("vm", "<source file='/home/vm.qcow2'/>"),)), [ONE]) == {
        "/home/vm.qcow2": "the domain vm"
    }
