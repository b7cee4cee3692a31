"""Every rule: kickstarts in which it finds something, at which lines, and kickstarts in which it
finds nothing.
"""

from __future__ import annotations

import pytest

from imagebuild.kickstart import rule as rules
from imagebuild.kickstart.parse import parse
from imagebuild.kickstart.rule import KickstartTarget
from imagebuild.recipe.secrets import FingerprintSecrets, RealSecrets, SampleSecrets
from imagebuild.schema import rule_names
from imagebuild.schema.document import Mark
from imagebuild.schema.section import SecretRef

BUILD = KickstartTarget(nonce="a1b2c3d4e5f6")
SUCCESS = "%post --erroronfail\nprintf '%s-%s:%s%s' imagebuild success a1b2 c3d4e5f6\n%end\n"
COMPLETE = "lang C\nkeyboard us\ntimezone UTC\nrootpw --lock\nzerombr\nclearpart --all\npart / --size=1\n"

FINDS: dict[str, list[tuple[str, list[int | None]]]] = {
    "swap": [
        ("part / --size=1\npart swap --size=512\n", [2]),
        ("partition --size=512 swap --recommended\n", [1]),
        ("part swap.01 --size=512\n", [1]),
        ("part pv.1 --size=1\nvolgroup vg pv.1\nlogvol swap --vgname=vg --name=swap --size=1\n", [3]),
        ("logvol none --fstype=swap --vgname=vg --name=x --size=1\n", [1]),
        ("part raid.1 --size=1\npart raid.2 --size=1\nraid swap --device=md0 --level=1 raid.1 raid.2\n", [3]),
        ("autopart\n", [1]),
        ("autopart --type=lvm --nohome\n", [1]),
        ("mount /dev/vda2 swap\n", [1]),
    ],
    "several-root-file-systems": [
        ("part / --size=1\npart /home --size=1\npart /var --size=1\n", [2, 3]),
        ((
            "part pv.1 --size=1\nvolgroup vg pv.1\nlogvol / --vgname=vg --name=r --size=1\nlogvol /srv "
            "--vgname=vg --name=s --size=1\n"
        ), [4]),
        ("autopart --noswap\n", [1]),
        ("part / --size=1\nmount /dev/vdb1 /data\n", [2]),
        ("part / --size=1\npart / --size=2\n", [2]),
    ],
    "plaintext-password": [
        ("rootpw secret\n", [1]),
        ("rootpw --plaintext secret\n", [1]),
        ("rootpw --iscrypted $6$x\nuser --name=a --password=b\n", [2]),
        ("user --name=a --password b --plaintext\n", [1]),
        ("bootloader --password=x\n", [1]),
        ("sshpw --username=root secret\n", [1]),
        ("part / --size=1 --encrypted --passphrase=x\n", [1]),
        ("vnc --password=x\n", [1]),
        ("autopart --encrypted --passphrase x\n", [1]),
        ("autopart --encrypted --passph=x\nuser --name=a --passw=b\n", [1, 2]),
        ("user --name=a --iscrypted --password=sesame\n", [1]),
        ("repo --name=a --baseurl=https://ann:sesame@mirror.example/\n", [1]),
        ("url --url=https://mirror.example/ --proxy=http://ann:sesame@proxy.example:3128\n", [1]),
        ("rhsm --organization=1 --activation-key=key --proxy=ann:sesame@proxy.example\n", [1, 1]),
        ("realm join --one-time-password=sesame a.example\n", [1]),
        ("realm join --one=sesame a.example\n", [1]),
        ("network --device=wlan0 --wpakey=sesame\n", [1]),
        ("%post\necho root:sesame | chpasswd\n%end\n", [2]),
        ("%post\nchpasswd <<EOF\nroot:sesame\nEOF\n%end\n", [3]),
        ("%post\necho sesame | passwd --stdin root\n%end\n", [2]),
        ("%post\nuseradd -m -p sesame ann\ncurl https://ann:sesame@mirror.example/x\n%end\n", [2, 3]),
    ],
    "no-success-marker": [
        (COMPLETE, [None]),
        ("%post\necho\n%end\n", [1]),
        (SUCCESS + "%post --erroronfail\necho\n%end\n", [4]),
        (SUCCESS.replace("a1b2", "b1b2"), [1]),
        (SUCCESS.replace(" --erroronfail", ""), [1]),
    ],
    "interactive": [
        (COMPLETE + "interactive\n", [8]),
        (COMPLETE + "vnc\n", [8]),
        (COMPLETE + "graphical\n", [8]),
        (COMPLETE + "ignoredisk --interactive\n", [8]),
        (COMPLETE + "firstboot --enable\n", [8]),
        (COMPLETE.replace("lang C\n", ""), [None]),
        (COMPLETE.replace("timezone UTC\n", "").replace("rootpw --lock\n", ""), [None, None]),
        (COMPLETE.replace("part / --size=1\n", ""), [None]),
        (COMPLETE.replace("clearpart --all\n", ""), [6]),
        ("", [None] * 5),
        (COMPLETE.replace("part /", "part / --encrypted"), [7]),
    ],
    "post-without-erroronfail": [
        ("%post\necho\n%end\n%pre --interpreter=/bin/bash\necho\n%end\n", [1, 4]),
        ("%post --nochroot --log=/x\necho\n%end\n", [1]),
        ("%pre-install\necho\n%end\n", [1]),
    ],
    "package-wanted-and-excluded": [
        ("%packages\nvim\n-vim\n%end\n", [3]),
        ("%packages\n-vim\n%end\n%packages\nvim # wanted\n%end\n", [5]),
        ("%packages\n@core --nodefaults\n-@core\n%end\n", [3]),
        ("%packages\n@^server\n-@^server\n%end\n", [3]),
    ],
    "http-without-checksum": [
        ("url --url=http://mirror.example/tree\n", [1]),
        ("url --url ftp://mirror.example/tree\n", [1]),
        ("repo --name=x --baseurl=http://mirror.example/repo\n", [1]),
        ("repo --name=x --mirrorlist=http://mirror.example/list\n", [1]),
        ("liveimg --url=http://mirror.example/image\n", [1]),
        ("url --url=https://mirror.example/tree --noverifyssl\n", [1]),
        ("nfs --server=a --dir=/b\n", [1]),
        ("url --ur=http://mirror.example/tree\n", [1]),
        ("updates http://mirror.example/updates.img\n", [1]),
        ("driverdisk --source=http://mirror.example/dd.img\n", [1]),
        ("%include http://mirror.example/ks.cfg\n%ksappend http://mirror.example/ks.cfg\n", [1, 2]),
        ("ostreesetup --osname=a --remote=b --url=https://mirror.example --ref=c --nogpg\n", [1]),
    ],
    "reboot": [("reboot\n", [1]), ("halt\n", [1]), ("", [None]), ("reboot --eject\n", [1])],
    "deprecated": [("authconfig --enableshadow\n", [1])],
    "defined-twice": [("user --name=a\nuser --name=a\n", [2]), ("part /a --size=1\npart /a --size=1\n", [2])],
    "included-file": [
        ("%include /tmp/x\n%packages\n%include y\n%end\n%ksappend z\n", [1, 3, 5]),
        ("%post\n%include /tmp/x\n%end\n", [2]),
    ],
    "fragment": [("%packages\nvim\n%end\n", [None])],
    "given-again": [
        ("bootloader --append=quiet --location=mbr\nbootloader --timeout=1\n", [2]),
        ("clearpart --all --initlabel\nclearpart --drives=vda\n", [2]),
        ("rootpw --iscrypted $6$x$y\nrootpw --lock\n", [2]),
        ("poweroff\nreboot\n", [2]),
    ],
    "later-packages-section": [
        ("%packages --excludedocs --inst-langs=en\na\n%end\n%packages\nb\n%end\n", [4]),
        ("%packages --ignorem\na\n%end\n%packages --nocore\nb\n%end\n", [4]),
    ],
    "several-install-sources": [
        ("cdrom\nurl --url=https://mirror.example/os\n", [2]),
        ("url --url=https://mirror.example/os\ncdrom\n", [1]),
    ],
    "unusual-line-separator": [
        ("# a\fvnc\n", [1]),
        ("lang C\nkeyboard us # \u2028poweroff\n", [2]),
        ("# a\x85halt\n", [1]),
    ],
}  # fmt: skip

PASSES = {
    "swap": ["autopart --nosw --nohom\n", "part / --size=1\n", "autopart --noswap --nohome\n", "part /swap --size=1\n"],
    "several-root-file-systems": [
        (
            "part / --size=1\npart /boot --size=1\npart /boot/efi --size=1 --fstype=efi\npart biosboot --size=1\n"
            "part prepboot --size=4\n"
        ),
        "part pv.1 --size=1\nvolgroup vg pv.1\nlogvol / --vgname=vg --name=r --size=1\n",
        "part raid.1 --size=1\npart raid.2 --size=1\nraid / --device=md0 --level=1 raid.1 raid.2\n",
        (
            "part btrfs.1 --size=1\nbtrfs none --label=x btrfs.1\nbtrfs / --subvol --name=root x\nbtrfs /home "
            "--subvol --name=home x\n"
        ),
        "autopart --nohome\n",
        "autopart --nohom\n",
        "autopart --type=btrfs\n",
        "part / --size=1\npart /tmp --fstype=tmpfs --size=1\n",
        "part / --size=1\npart swap --size=1\n",
    ],
    "plaintext-password": [
        "rootpw --lock\nuser --name=a\n",
        "rootpw --iscrypted $6$x\nuser --name=a --iscrypted --password=$6$y\n",
        "bootloader --iscrypted --password=grub.pbkdf2.sha512.x\n",
        "sshpw --username=root --iscrypted $6$x\n",
        "rootpw --lock --iscrypted locked\n",
        "user --name=a --iscrypted --password=!!\nrootpw --iscrypted @HASH@\n",
        "url --url=https://ann@mirror.example/ --proxy=http://proxy.example:3128\n",
        "%post\necho \"root:$PASSWORD\" | chpasswd\necho 'root:$6$x$y' | chpasswd -e\nuseradd -p '$6$x$y' ann\n%end\n",
        "%post\n# echo root:sesame | chpasswd\npasswd -l root\nchpasswd -e <<EOF\nroot:$6$x$y\nEOF\n%end\n",
        "part / --size=1 --encrypted\n",
    ],
    "no-success-marker": [SUCCESS, "%post --erroronfail\necho\n%end\n" + SUCCESS + "%pre\necho\n%end\n"],
    "interactive": [
        COMPLETE,
        COMPLETE + "cmdline\nfirstboot --disable\n",
        COMPLETE + "text --non-interactive\ngraphical --non-interactive\n",
        "%include /tmp/all\n",
        COMPLETE.replace("clearpart --all\n", "").replace("--size=1", "--onpart=vda1"),
    ],
    "post-without-erroronfail": [
        "%post --erroronfail\necho\n%end\n%pre --erroronfail\necho\n%end\n",
        "%post\n\n%end\n",
        "%traceback\necho\n%end\n",
    ],
    "package-wanted-and-excluded": ["%packages\nvim\n-nano\n@core\n-@base\n%end\n", "%packages\nvim\nvim\n%end\n"],
    "http-without-checksum": [
        "url --url=https://mirror.example/tree\nrepo --name=x --metalink=https://mirror.example/list\n",
        f"liveimg --url=http://mirror.example/image --checksum={'0' * 64}\n",
        "liveimg --url=file:///image\ncdrom\n",
    ],
    "reboot": ["poweroff\n", "shutdown\n", "%include /tmp/all\n"],
    "deprecated": ["authselect select minimal\n"],
    "defined-twice": [
        "user --name=a\nuser --name=b\n",
        "sshkey --username=a one\nsshkey --username=a two\n",
        "network --bootproto=dhcp\nnetwork --hostname=a\n",
        "network --device=eth0 --vlanid=1 --bootproto=dhcp\nnetwork --device=eth0 --vlanid=2 --bootproto=dhcp\n",
    ],
    "included-file": ["lang C\n"],
    "fragment": ["lang C\n", "lnag\n"],
    "given-again": [
        "bootloader --append=quiet\nbootloader --append=quiet\n",
        "user --name=a\nuser --name=b\n",
        "rootpw --iscrypted $6$x$y\n",
        "lnag\nlnag\n",
    ],
    "later-packages-section": [
        "%packages --excludedocs\na\n%end\n%packages --excludedocs\nb\n%end\n",
        "%packages --inst-langs=en\na\n%end\n%packages\nb\n%end\n",
    ],
    "several-install-sources": ["cdrom\nrepo --name=a --baseurl=https://mirror.example/a\n"],
    "unusual-line-separator": [
        "# a\f\nlang C\n",
        "# a\f# b\n",
        "%post --erroronfail\n# a\fb\n%end\n",
        "# caf\xe9\nlang C\r\nkeyboard us\r\n",
    ],
}


def found(name: str, text: str, target: KickstartTarget = BUILD, version: str = "RHEL8") -> list[int | None]:
    target = KickstartTarget() if name == "fragment" else target
    return [said.line for said in rules.get(name).find(parse(text, version), target)]


def test_every_rule_has_test_cases() -> None:
    assert set(rule_names.of_kickstarts()) == set(FINDS) == set(PASSES)


@pytest.mark.parametrize(("name", "text", "lines"), [(name, *case) for name, cases in FINDS.items() for case in cases])
def test_a_rule_finds(name: str, text: str, lines: list[int | None]) -> None:
    assert found(name, text) == lines


@pytest.mark.parametrize(("name", "text"), [(name, case) for name, cases in PASSES.items() for case in cases])
def test_a_rule_finds_nothing(name: str, text: str) -> None:
    assert found(name, text) == []


def test_a_kickstart_that_no_build_rendered_needs_no_marker() -> None:
    assert found("no-success-marker", COMPLETE, KickstartTarget()) == []


def test_kickstrap_asks_nothing_and_apt_verifies_packages() -> None:
    kickstrap = KickstartTarget("a1b2c3d4", asks=False, proves_packages=True)
    assert found("interactive", "", kickstrap) == []
    assert found("interactive", "vnc\n", kickstrap) == [1]
    assert found("http-without-checksum", "url --url='http://mirror.example/debian trixie main'\n", kickstrap) == []
    assert found("http-without-checksum", "liveimg --url=http://mirror.example/x\n", kickstrap) == [1]


def test_what_the_recipe_accepts_or_verifies_needs_no_checksum() -> None:
    text = "url --url=http://192.0.2.1/tree\n"
    assert found("http-without-checksum", text, KickstartTarget(insecure=True)) == []
    assert found("http-without-checksum", text, KickstartTarget(trusted=frozenset({"http://192.0.2.1/tree"}))) == []


def test_the_placeholders_of_a_recipes_secrets_are_no_findings() -> None:
    (ref, mark) = SecretRef(env="PASSWORD"), Mark("x.yaml", 1, 1)
    for secrets in (SampleSecrets(), FingerprintSecrets(b"key", {"PASSWORD": "sesame"})):
        text = f"rootpw --iscrypted {secrets.password_hash(ref, mark)}\n"
        assert found("plaintext-password", text) == []
        assert found("plaintext-password", text, KickstartTarget()) == [1]


def test_a_passphrase_by_reference_is_no_finding_and_a_literal_one_is() -> None:
    (ref, mark) = SecretRef(env="PHRASE"), Mark("x.yaml", 1, 1)
    environ = {"PHRASE": "a phrase for this test"}
    for secrets in (SampleSecrets(), FingerprintSecrets(b"key", environ), RealSecrets(environ)):
        text = f'part pv.1 --size=9 --encrypted --passphrase="{secrets.passphrase(ref, mark)}"\n'
        assert found("plaintext-password", text) == []
        assert found("plaintext-password", text, KickstartTarget()) == [1]
    assert found("plaintext-password", "part pv.1 --size=9 --encrypted --passphrase=literal-one\n") == [1]


def test_opinions_are_warnings_outside_recipes() -> None:
    opinions = {one.name for one in rules.every() if one.opinion}
    assert opinions == {"reboot", "several-root-file-systems", "swap"}
    assert {rules.get(name).severity_for(BUILD) for name in opinions} == {"error"}
    assert {rules.get(name).severity_for(KickstartTarget()) for name in opinions} == {"warning"}
    assert rules.get("plaintext-password").severity_for(KickstartTarget()) == "error"


def test_a_fragment_lacks_nothing() -> None:
    text = "%packages\nvim\n%end\n"
    assert [name for name in FINDS if found(name, text, KickstartTarget())] == ["fragment"]


@pytest.mark.parametrize("version", ["RHEL6", "RHEL7", "RHEL8", "RHEL9", "RHEL10", "F43"])
def test_hints_name_only_options_of_the_syntax(version: str) -> None:
    kickstart = parse("autopart\n", version)
    (autopart,) = kickstart.commands
    for name, option in (("swap", "--noswap"), ("several-root-file-systems", "--nohome")):
        (said,) = rules.get(name).find(kickstart, BUILD)
        assert (option in str(said.hint)) == autopart.knows(option)


def test_no_finding_contains_a_secret() -> None:
    text = (
        "rootpw sesame\nuser --name=a --password=sesame\nvnc --password=sesame\nbootloader "
        "--password=sesame\nautopart --passphrase=sesame\n"
        "user --name=b --iscrypted --password=sesame\nuser --iscrpted sesame\nrootpw --iscrpted sesame sesame\n"
        "repo --name=a --baseurl=https://ann:sesame@mirror.example/\n%post\necho root:sesame | chpasswd\n%end\n"
    )
    for one in rules.every():
        assert not any("sesame" in f"{said.message}{said.hint}" for said in one.find(parse(text, "RHEL8"), BUILD))
