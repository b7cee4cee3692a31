"""The order of operations, when the network is enabled, and what errors say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from imagebuild.customise import registry, runner
from imagebuild.customise.linux.packages import parse_dpkg_status
from imagebuild.customise.operation import OperationCall
from imagebuild.customise.runner import apply_all, customise
from imagebuild.errors import GuestError, UsageError
from imagebuild.schema.customised import CustomiseResult, OperationResult
from tests.operations.memory import MemoryDisk, Node, Tree, with_folders

DPKG = "Package: vim\nStatus: install ok installed\nVersion: 2:9.1\nProvides: editor\n"


def guest(**more: str) -> MemoryDisk:
    files = {"/var/lib/dpkg/status": DPKG, "/etc/machine-id": "4fb1\n"} | more
    return MemoryDisk(with_folders({path: Node("file", 0o644, text.encode()) for path, text in files.items()}))


class Appliance:
    """Opens a guest in memory and records whether a network was requested."""

    def __init__(self, disk: MemoryDisk) -> None:
        self.disk = disk
        self.launches: list[bool] = []

    @contextmanager
    def __call__(self, *, network: bool) -> Iterator[MemoryDisk]:
        self.launches.append(network)
        yield self.disk


def run(appliance: Appliance, *calls: OperationCall, network: bool = True) -> CustomiseResult:
    return customise(appliance, calls, network=network, tell=lambda detail, fraction: None)


def test_phases_come_in_order_and_within_them_the_recipe_decides() -> None:
    names = ("trim-free-space", "clean-logs", "remove-udev-rules", "disable-firewall")
    result = run(Appliance(guest()), *map(registry.call, names))
    assert [one.name for one in result.operations] == [
        "disable-firewall",
        "clean-logs",
        "remove-udev-rules",
        "trim-free-space",
    ]


def test_result_contains_status_changes_and_packages() -> None:
    result = run(Appliance(guest()), registry.call("reset-machine-id"), registry.call("disable-selinux"))
    selinux, machine_id = result.operations
    assert (selinux.status, selinux.reason) == ("not applicable", "this guest does not have SELinux")
    assert [(change.path, change.what) for change in machine_id.changes] == [("/etc/machine-id", "emptied")]
    assert result.changed_paths == 1
    assert result.packages == {"vim": "2:9.1"}


def test_no_network_when_all_packages_are_there() -> None:
    appliance = Appliance(guest())
    run(appliance, registry.call("install-packages", {"packages": ["vim", "editor"]}))
    assert appliance.launches == [False]


def test_a_missing_package_causes_a_second_launch_with_network() -> None:
    appliance = Appliance(guest(**{"/usr/sbin/policy-rc.d": "own"}))
    with pytest.raises(GuestError, match="install-packages: apt-get failed in the guest"):
        run(appliance, registry.call("install-packages", {"packages": ["tree"]}))
    assert appliance.launches == [False, True]


def test_a_missing_package_is_an_error_when_the_network_is_forbidden() -> None:
    appliance = Appliance(guest())
    before = dict(appliance.disk.tree)
    calls = [registry.call("reset-machine-id"), registry.call("install-packages", {"packages": ["tree"]})]
    with pytest.raises(GuestError, match="install-packages would need the network") as caught:
        run(appliance, *calls, network=False)
    assert caught.value.hint
    assert appliance.disk.tree == before, "nothing may change before this is known"


def test_an_enforcing_guest_that_was_changed_is_relabelled_before_it_is_sealed() -> None:
    appliance = Appliance(guest(**{"/etc/selinux/config": "SELINUX=enforcing\n"}))
    calls = [registry.call("reset-machine-id"), registry.call("trim-free-space")]
    names = [one.name for one in run(appliance, *calls).operations]
    assert names == ["reset-machine-id", "relabel-selinux", "trim-free-space"]
    assert "/.autorelabel" in appliance.disk.tree
    assert [one.name for one in run(appliance, *calls).operations] == ["reset-machine-id", "trim-free-space"]


def test_trimmed_space_is_recorded() -> None:
    appliance = Appliance(guest())
    appliance.disk.unused = 5 << 20
    (result,) = run(appliance, registry.call("trim-free-space")).operations
    assert [(change.path, change.what) for change in result.changes] == [("/", "discarded 5.0 MiB")]


def test_unknown_operation_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no operation 'clean-log'") as caught:
        registry.call("clean-log")
    assert "clean-logs" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["--force", "tree=1;rm", "", "a b", "../x"])
def test_package_names_cannot_be_options_or_commands(name: str) -> None:
    with pytest.raises(ValueError, match="packages"):
        registry.call("install-packages", {"packages": [name]})


def test_code_digest_differs_between_operations() -> None:
    assert len({registry.code_digest(name) for name in registry.names()}) == len(registry.names())


def test_an_absurdly_large_file_is_refused_and_not_read() -> None:
    appliance = Appliance(guest(**{"/etc/selinux/config": "#" * ((1 << 20) + 1)}))
    with pytest.raises(GuestError, match=r"disable-selinux: /etc/selinux/config in the guest is larger than"):
        run(appliance, registry.call("disable-selinux"))


def test_a_full_grubenv_is_not_made_longer() -> None:
    block = ("# GRUB Environment Block\nkernelopts=" + "x" * 980 + "\n").ljust(1024, "#")
    files = {"/etc/selinux/config": "SELINUX=enforcing\n", "/boot/grub2/grubenv": block}
    with pytest.raises(GuestError, match="disable-selinux: the guest's grubenv has no room"):
        run(Appliance(guest(**files)), registry.call("disable-selinux"))


def test_dpkg_status_with_odd_lines() -> None:
    text = "Package: a\nStatus: install ok half-configured\nVersion: 1\n\n\nnonsense\n\nPackage: b\nStatus:\n\n" + DPKG
    assert parse_dpkg_status(text).versions == {"vim": "2:9.1"}


def test_each_checkpoint_leads_to_the_same_guest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "LAYER_PAYS", 0.0)
    calls = [
        registry.call("write-file", {"path": "/etc/one", "text": "1"}),
        registry.call("trim-free-space"),
        registry.call("append-to-file", {"path": "/etc/one", "text": "2\n"}),
        registry.call("reset-machine-id"),
        registry.call("clean-logs"),
    ]
    layers: list[tuple[Tree, tuple[OperationResult, ...]]] = []
    disk = guest()
    whole = apply_all(
        disk,
        calls,
        lambda detail, fraction: None,
        layer=lambda files, results: layers.append((dict(disk.tree), tuple(results))),
    )
    assert [[one.name for one in results] for _, results in layers] == [
        ["write-file"],
        ["write-file", "append-to-file"],
        ["write-file", "append-to-file", "reset-machine-id"],
        ["write-file", "append-to-file", "reset-machine-id", "clean-logs"],
    ]
    before_seal, sealing = registry.ordered(calls)
    for tree, results in layers:
        again = MemoryDisk(tree)
        left = [*before_seal[len(results) :], *sealing]
        resumed = apply_all(again, left, lambda detail, fraction: None, before=results)
        assert again.tree == disk.tree
        assert [(one.name, one.changes) for one in resumed.operations] == [
            (one.name, one.changes) for one in whole.operations
        ]


@pytest.mark.parametrize(
    ("names", "looked_after"),
    [
        (["reset-machine-id"], ["reset-machine-id"]),
        (["trim-free-space", "reset-machine-id"], ["reset-machine-id"]),
        (["relabel-selinux", "trim-free-space"], ["relabel-selinux"]),
        ([], []),
    ],
)
def test_the_guest_is_listed_when_its_files_are_finished_and_before_it_is_unmounted(
    names: list[str], looked_after: list[str]
) -> None:
    told: list[str] = []
    found: list[tuple[list[str], Mapping[str, str]]] = []
    apply_all(
        guest(),
        list(map(registry.call, names)),
        lambda detail, fraction: told.append(detail),
        look=lambda files, packages: found.append((told[:-1], packages)),
    )
    assert found == [(looked_after, {"vim": "2:9.1"})]


def test_fast_operations_make_no_checkpoint() -> None:
    layers = []
    apply_all(
        guest(),
        [registry.call("reset-machine-id"), registry.call("clean-logs")],
        lambda detail, fraction: None,
        layer=lambda files, results: layers.append(results),
    )
    assert layers == []
