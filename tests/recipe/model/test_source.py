"""Install sources in a recipe: one kind, verified or explicitly insecure; and the syntax of the
kickstart.
"""

from __future__ import annotations

import pytest
from pykickstart.version import versionMap

from imagebuild.recipe.model import syntax
from imagebuild.recipe.model.guest import Os
from recipes import problems, recipe

ROCKY = "name: small\nos: {family: redhat, distribution: rocky, version: 9}\n"
DIGEST = "0123456789abcdef" * 4


def source(text: str, more: str = "") -> str:
    return f"installer: {{source: {{{text}}}{more}}}"


ISO = "iso: https://mirror.example/r.iso"
PAIR = f"kernel: http://mirror.example/vmlinuz, kernel_sha256: {DIGEST}, initrd: ./initrd.img, initrd_sha256: {DIGEST}"
REPOSITORY = "repositories: [{name: base, url: https://mirror.example/os}]"


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        (source("tree: https://mirror.example/rocky/9/BaseOS/x86_64/os/"), "tree"),
        (source("tree: ../trees/rocky"), "tree"),
        (source("tree: http://mirror.example/os", ", insecure: true"), "tree"),
        (source(f"{ISO}, sha256: {DIGEST}"), "iso"),
        (source(f"iso: r.iso, sha256: {DIGEST}, attach: false"), "iso"),
        (source(f"{ISO}, checksums: http://mirror.example/CHECKSUM, keyring: /etc/pki/rpm-gpg/KEY"), "iso"),
        (source(f"{ISO}, checksums: CHECKSUM, signature: CHECKSUM.sig, keyring: [/etc/one, two.asc]"), "iso"),
        (source(f"{ISO}, checksums: https://mirror.example/CHECKSUM", ", insecure: true"), "iso"),
        (source(ISO, ", insecure: true"), "iso"),
        (source(PAIR, f", {REPOSITORY}"), "kernel"),
        (source(f"{PAIR}, stage2: stage2.img, stage2_sha256: {DIGEST}", f", {REPOSITORY}"), "kernel"),
    ],
)
def test_accepted(more: str, kind: str) -> None:
    found = recipe(more, ROCKY).installer
    assert found.type == "anaconda"
    assert found.source is not None
    assert found.source.kind == kind


def test_a_key_file_is_a_list_of_one() -> None:
    found = recipe(source(f"{ISO}, checksums: CHECKSUM, keyring: /etc/key"), ROCKY).installer.source
    assert found is not None
    assert found.keyring == ("/etc/key",)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (source("tree: http://mirror.example/os"), "installer.source.tree: a tree over http cannot be verified"),
        (source("tree: ftp://mirror.example/os"), "installer.source.tree: expected a URL such as"),
        (source("tree: https://token@mirror.example/os"), (
            "installer.source.tree: a URL must not contain a "
            "user name or password"
        )),
        (source(ISO), "installer.source.iso: cannot verify the ISO [set sha256, or checksums"),
        (source(f"{ISO}, checksums: CHECKSUM"), (
            "installer.source.checksums: the key that signs the checksums "
            "is not given"
        )),
        (source(f"{ISO}, sha256: abc"), "installer.source.sha256: expected a SHA-256 of 64 digits 0-9a-f, found 'abc'"),
        (source(f"{ISO}, sha256: {DIGEST}, keyring: key"), "installer.source.keyring: this key requires checksums"),
        (source(f"tree: t, sha256: {DIGEST}"), (
            "installer.source.sha256: this key is not allowed for a source "
            "of the kind tree"
        )),
        (source("tree: t, attach: false"), (
            "installer.source.attach: this key is not allowed for a source of "
            "the kind tree"
        )),
        (source(f"tree: t, {ISO}, sha256: {DIGEST}"), (
            "installer.source.iso: a source has one kind only, and "
            "tree is already set"
        )),
        (source(""), "installer.source: expected one of tree, iso and kernel"),
        (source(f"kernel: k, kernel_sha256: {DIGEST}", f", {REPOSITORY}"),
            "installer.source: the key 'initrd' is missing"),
        (source(PAIR), "installer.source.kernel: a kernel and its initrd contain no packages"),
        (source("kernel: k, initrd: i", f", {REPOSITORY}"), (
            "installer.source.initrd: cannot verify the initrd "
            "[set initrd_sha256"
        )),
        (source(f"{PAIR}, stage2: s", f", {REPOSITORY}"), "installer.source.stage2: cannot verify the stage2"),
        (source("tree: t", ", repositories: [{name: b, url: http://m.example/o}]"),
            "installer.repositories[0].url: a repository over http cannot be verified"),
        (source("tree: t", ", repositories: [{name: b}]"), (
            "installer.repositories[0]: expected exactly one of "
            "url, metalink and mirrorlist"
        )),
        (source("tree: t", ", mirror: http://mirror.example/debian"),
            "installer.mirror: this key is not allowed with installer.type: anaconda"),
        (source("tree: t") + "\nvm: {networks: [nat]}", (
            "vm.networks: the VM can reach what this host serves "
            "only through a card of type user"
        )),
        (source(f"{ISO}, sha256: {DIGEST}, attach: false") + "\nvm: {networks: [none]}",
            "vm.networks: the VM can reach what this host serves only"),
        ("", "installer: the key 'source' is missing: it says where Anaconda comes from"),
        ("installer: {type: kickstrap}", "installer.type: kickstrap installs the family debian, but this is redhat"),
        ("kickstart: {syntax: RHEL99}", (
            "kickstart.syntax: expected a syntax version of pykickstart such as "
            "RHEL9 or F43, found 'RHEL99'"
        )),
    ],
)  # fmt: skip
def test_refused(more: str, message: str) -> None:
    found = problems(more, ROCKY)
    assert any(message in problem for problem in found), found


def test_debian_has_no_anaconda() -> None:
    assert problems("installer: {type: anaconda, source: {tree: t}}") == [
        "small.yaml:3: installer.type: anaconda installs the family redhat, but this is debian"
    ]
    assert "installer.source: this key is not allowed with installer.type: kickstrap" in problems(source("tree: t"))[0]


def test_a_finding_is_at_the_line_of_its_key() -> None:
    more = (
        "installer:\n  source:\n    iso: r.iso\n    checksums: CHECKSUM\n  repositories:\n    - name: a\n   "
        "   url: http://m.example/a\n"
    )
    assert [problem.split(": ")[:2] for problem in problems(more, ROCKY)] == [
        ["small.yaml:6", "installer.source.checksums"],
        ["small.yaml:9", "installer.repositories[0].url"],
    ]


@pytest.mark.parametrize(
    ("about", "name"),
    [
        ({"family": "debian", "version": "13", "codename": "trixie"}, "F43"),
        ({"family": "redhat", "distribution": "fedora", "version": "43"}, "F43"),
        ({"family": "redhat", "distribution": "rocky", "version": "9.4"}, "RHEL9"),
        ({"family": "redhat", "distribution": "centos-stream", "version": "10"}, "RHEL10"),
        ({"family": "redhat", "version": "7"}, "RHEL7"),
    ],
)
def test_the_syntax_follows_the_guest(about: dict[str, str], name: str) -> None:
    assert syntax.default(Os.model_validate(about), versionMap) == (name, None)


def test_an_unknown_release_gets_the_newest_syntax_and_a_note() -> None:
    known = ("F7", "F43", "RHEL9", "RHEL10", "DEVEL")
    fedora = Os(family="redhat", distribution="fedora", version="rawhide")
    assert syntax.default(fedora, known) == (
        "F43",
        "pykickstart has no syntax Frawhide: the kickstart is read as F43",
    )
    assert syntax.default(Os(family="redhat", distribution="rhel", version="12.1"), known).name == "RHEL10"
