"""Services and tuning: what they add, and conflicts."""

from __future__ import annotations

import pytest

from recipes import MINIMAL, problems, recipe

FEDORA = """\
name: small
os: {family: redhat, distribution: fedora, version: 45}
installer: {source: {tree: "https://mirror.example/os"}}
"""
EL7 = FEDORA.replace("fedora, version: 45", "centos, version: 7")
EL10 = FEDORA.replace("fedora, version: 45", "rocky, version: 10.1")


@pytest.mark.parametrize(
    ("more", "base", "brought"),
    [
        ("", MINIMAL, ()),
        ("tuning: {interface_names: classic}", MINIMAL, ("net.ifnames=0", "biosdevname=0")),
        ("tuning: {interface_names: predictable}", MINIMAL, ()),
        ("tuning: {serial_console: true}", MINIMAL, ("console=tty0", "console=ttyS0,115200n8")),
        ("tuning: {serial_console: true}", FEDORA.replace("45", "45, arch: aarch64") + "machine: {firmware: uefi}\n",
            ("console=tty0", "console=ttyAMA0")),
        ("tuning: {transparent_huge_pages: never}", MINIMAL, ("transparent_hugepage=never",)),
        ("tuning: {io_scheduler: none}", MINIMAL, ()),
        ("tuning: {io_scheduler: noop}", EL7, ("elevator=noop",)),
        ("tuning: {io_scheduler: bfq}", EL10, ()),
        ("tuning: {io_scheduler: kyber}", FEDORA.replace("45", "7"), ()),
        ("tuning: {serial_console: true}\nkernel_arguments: [quiet, console=tty0, 'console=ttyS1,9600']", MINIMAL,
         ("console=tty0", "console=ttyS0,115200n8", "quiet", "console=ttyS1,9600")),
    ],
)  # fmt: skip
def test_kernel_arguments(more: str, base: str, brought: tuple[str, ...]) -> None:
    assert recipe(more, base).all_kernel_arguments == brought


def test_packages_and_services_are_added_by_the_settings_that_need_them() -> None:
    made = recipe("packages: [vim]\ntuning: {tuned_profile: virtual-guest}\nusers: [{name: ops, sudo: true}]\n")
    assert made.all_packages == ("vim", "tuned", "sudo")
    assert made.enabled_services == ("tuned",)
    plain = recipe("packages: [vim]\nusers: [{name: ops}]\nservices: {enabled: [ssh]}\n")
    assert (plain.all_packages, plain.enabled_services) == (("vim",), ("ssh",))


@pytest.mark.parametrize(
    ("more", "base", "message"),
    [
        ("tuning: {io_scheduler: noop}", MINIMAL, (
            "3: tuning.io_scheduler: the kernel of this guest has no "
            "scheduler 'noop' [it has none, mq-deadline, kyber, bfq]"
        )),
        ("tuning: {io_scheduler: none}", EL7, (
            "4: tuning.io_scheduler: the kernel of this guest has no "
            "scheduler 'none' [it has noop, deadline, cfq]"
        )),
        ("tuning: {interface_names: classic}\nkernel_arguments: [quiet, net.ifnames=1]", MINIMAL,
         (
             "4: kernel_arguments[1]: net.ifnames=1 conflicts with net.ifnames=0, which tuning adds [remove one of "
             "the two]"
         )),
        ("tuning: {serial_console: true}\nkernel_arguments: ['console=ttyS0,9600']", MINIMAL,
         (
             "4: kernel_arguments[0]: console=ttyS0,9600 conflicts with console=ttyS0,115200n8, which tuning adds "
             "[remove one of the two]"
         )),
        ("tuning: {transparent_huge_pages: never}\nkernel_arguments: [transparent_hugepage=always]", MINIMAL,
         (
             "4: kernel_arguments[0]: transparent_hugepage=always conflicts with transparent_hugepage=never, which "
             "tuning adds [remove one of the two]"
         )),
        ("tuning: {tuned_profile: '../x'}", MINIMAL, (
            "3: tuning.tuned_profile: expected the name of a profile "
            "such as virtual-guest, found '../x'"
        )),
        ("tuning: {tuned_profile: x}\nservices: {disabled: [tuned]}", MINIMAL,
            "4: services.disabled[0]: tuned is needed for tuning.tuned_profile [remove one of the two]"),
        ("services: {enabled: [a], disabled: [b, a]}", MINIMAL,
            "3: services.disabled[1]: 'a' is enabled too [remove one of the two]"),
        ("services: {enabled: ['a,b']}", MINIMAL, (
            "3: services.enabled[0]: expected the name of a service such "
            "as sshd, found 'a,b'"
        )),
        ("services: {enabled: [-x]}", MINIMAL, (
            "3: services.enabled[0]: expected the name of a service such as "
            "sshd, found '-x'"
        )),
    ],
)  # fmt: skip
def test_refused(more: str, base: str, message: str) -> None:
    assert problems(f"{more}\n", base) == [f"small.yaml:{message}"]
