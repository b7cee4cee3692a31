"""A kickstart that kickstrap carries out, and what it reports about variations of it."""

from __future__ import annotations

import warnings

from pykickstart.errors import KickstartParseWarning
from pykickstart.handlers.f43 import F43Handler
from pykickstart.parser import KickstartParser

from imagebuild.kickstrap.agent.machine import TargetMachine
from imagebuild.kickstrap.agent.supported import PARSED, Unsupported, check

GOOD = """\
text
lang en_US.UTF-8 --addsupport=de_DE.UTF-8
keyboard --vckeymap=us --xlayouts='us','de (nodeadkeys)' --switch=grp:alt_shift_toggle
timezone Europe/Berlin --utc
rootpw --iscrypted $6$salt$hash
group --name=staff2 --gid=2000
user --name=ops --groups=sudo,adm --password=x --plaintext --uid=1500 --gid=2000 --shell=/bin/sh --homedir=/srv/ops
sshkey --username=root "ssh-ed25519 AAAA ops@example"
network --device=eth0 --bootproto=static --ip=192.0.2.5 --netmask=255.255.255.0 --gateway=192.0.2.1 --nameserver=192.0.2.1
network --hostname=vm.example
firewall --disabled
selinux --disabled
services --enabled=ssh --disabled=cron
firstboot --disabled
skipx
eula --agreed
zerombr
clearpart --all --initlabel --disklabel=msdos
part / --fstype=ext4 --size=1024 --grow --label=root --fsoptions=noatime
part /var --fstype=xfs --size=512 --maxsize=1024 --grow
bootloader --location=mbr --timeout=1 --append="console=ttyS0"
url --url="http://mirror.example/debian trixie main"
repo --name=updates --baseurl="http://mirror.example/debian trixie-updates main"
poweroff
%packages --nocore --exclude-weakdeps
vim
-nano
%end
%pre --interpreter=/bin/sh --erroronfail --log=/tmp/pre.log
true --anything=goes
%end
%post --nochroot
true
%end
"""  # noqa: E501

KNOWN = F43Handler.commandMap


def findings(text: str, machine: TargetMachine | None = None) -> list[Unsupported]:
    handler = F43Handler(mapping={name: KNOWN[name] for name in PARSED & KNOWN.keys()}, dataMapping=F43Handler.dataMap)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KickstartParseWarning)
        KickstartParser(handler, followIncludes=False).readKickstartFromString(text)
    return check(handler, text, machine)


def messages(text: str) -> list[str]:
    return [finding.message for finding in findings(text)]


def replaced(start: str, line: str) -> str:
    """GOOD with the line that starts with ``start`` replaced by ``line``."""
    lines = [line if old.startswith(start) else old for old in GOOD.splitlines()]
    assert line in lines
    return "\n".join(lines) + "\n"
