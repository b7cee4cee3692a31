"""What the guests of ``foreign/`` are asked on their consoles, and the right answers."""

from __future__ import annotations

from typing import NamedTuple


class ForeignGuest(NamedTuple):
    """A kickstart of ``foreign/`` and its guest: ``asked`` maps commands to their output.

    ``syntax`` is for a file that names none. ``disks`` are the sizes of its disks, ``recipe`` further lines
    of its recipe, and ``passphrase`` unlocks it.
    """

    asked: dict[str, str]
    syntax: str = ""
    disks: tuple[str, ...] = ("3GiB",)
    recipe: str = ""
    passphrase: str = ""


_PARTITIONS = "lsblk -lno PARTTYPENAME /dev/vda | sed 's/ *$//' | grep ."
_OPENED = "nft list chain inet filter input | grep 'dport {' | tr -d '\\t'"


def _by_dhcp(device: str) -> str:
    """The command that prints the address of ``device`` as soon as there is one: systemd-networkd counts it as
    online before that.
    """
    address = f"ip -4 -o addr show dev {device} scope global"
    return f"for try in $(seq 90); do {address} | grep -q . && break; sleep 1; done; {address} | awk '{{print $4}}'"


GUESTS: dict[str, ForeignGuest] = {
    "bond_and_firewall": ForeignGuest(
        {
            "head -n1 /etc/hostname": "rack7.example",
            "cat /sys/class/net/bond0/bonding/mode /sys/class/net/bond0/bonding/slaves": "active-backup 1\neth0 eth1",
            "ip -4 -o addr show dev bond0 | awk '{print $4}'": "10.0.2.50/24",
            "cat /sys/class/net/bond0/mtu /proc/sys/net/ipv6/conf/bond0/disable_ipv6": "1400\n1",
            "ip route show default | cut -d' ' -f1-5": "default via 10.0.2.2 dev bond0",
            "nft list chain inet filter input | grep dport | tr -d '\\t' | sort": (
                "ip6 saddr fe80::/10 udp dport 546 accept\ntcp dport { 22, 443, 8080 } accept\nudp dport 514 accept"
            ),
            "nft list chain inet filter input | grep -c 'policy drop'": "1",
            "systemctl is-enabled nftables ssh": "enabled\nenabled",
            "cat /etc/systemd/timesyncd.conf.d/kickstart.conf | tail -n1": "NTP=192.0.2.123",
            "find -L /usr/share/doc/openssh-server -type f": "/usr/share/doc/openssh-server/copyright",
            "cat /root/after.log": "done",
        }
    ),
    "rhel_6": ForeignGuest(
        {
            "hostname": "old.example",
            "lvs --noheadings -o lv_name,vg_name | xargs -L1 | sort": "lv_root vg_old\nlv_swap vg_old",
            "swapon --show=TYPE --noheadings": "partition",
            "getent passwd operator7": "operator7:x:700:1001::/home/operator7:/bin/bash",
            "getent shadow operator7 | cut -c1-13": "operator7:$1$",
            "nft list chain inet filter input | grep 'tcp dport' | tr -d '\\t'": "tcp dport { 21, 22 } accept",
            "readlink /etc/localtime": "/usr/share/zoneinfo/America/New_York",
            "cat /etc/motd": "installed by kickstart",
            "dpkg-query -W -f '${Package}\\n' vim-tiny openssh-client": "openssh-client\nvim-tiny",
        }
    ),
    "centos_7": ForeignGuest(
        {
            "hostname": "web.example",
            _by_dhcp("eth0"): "10.0.2.15/24",
            "grep -E '^server' /etc/chrony/chrony.conf": "server 192.0.2.10 iburst\nserver 192.0.2.11 iburst",
            "systemctl is-active apache2 chrony": "active\nactive",
            "nft list chain inet filter input | grep 'tcp dport' | tr -d '\\t'": "tcp dport { 22, 80 } accept",
            "grep -c 'password_pbkdf2 root grub.pbkdf2' /boot/grub/grub.cfg": "1",
            "grep -c -- '--unrestricted' /boot/grub/grub.cfg | grep -v '^0$' >/dev/null && echo free": "free",
            "cat /var/www/html/index.html": "hello",
        },
        syntax="RHEL7",  # `#version=DEVEL` names none, so the recipe says it
    ),
    "bridge_and_vlan": ForeignGuest(
        {
            "ls /sys/class/net/br0/brif": "eth0",
            _by_dhcp("br0"): "10.0.2.15/24",
            "ip -d link show eth1.30 | grep -o 'vlan protocol 802.1Q id 30'": "vlan protocol 802.1Q id 30",
            "ip -o addr show dev eth1.30 scope global | awk '{print $4}' | sort": "192.0.2.30/25\n2001:db8::30/64",
            "systemctl is-enabled systemd-networkd": "enabled",
            "id -nG ann": "ann vmadmins",
            "systemctl is-enabled systemd-timesyncd 2>&1 | head -n1 | grep -c enabled": "0",
        }
    ),
    "minimal": ForeignGuest(
        {
            "ip -4 -o addr show scope global | awk '{print $4}'": "10.0.2.15/24",
            "dpkg-query -W -f '${db:Status-Status} ' bind9-dnsutils vim netcat-openbsd openssh-server": (
                "installed installed installed installed"
            ),
            "systemctl is-active ssh": "active",
        }
    ),
    "networkmanager_and_firewalld": ForeignGuest(
        {
            "nmcli -g GENERAL.STATE device show eth0": "100 (connected)",
            "ip -o addr show dev eth0 scope global | awk '{print $4}' | sort": "10.0.2.60/24\n2001:db8::60/64",
            "firewall-cmd --list-services | tr ' ' '\\n' | sort": "cockpit\nssh",
            "firewall-cmd --list-ports": "9000-9005/tcp",
            "firewall-cmd --zone=trusted --list-interfaces": "eth1",
            "cat /etc/from-outside": "chroot",
        }
    ),
    "hardened_volumes": ForeignGuest(
        {
            "hostname": "vault.corp.example",
            "getent hosts vault | tr -s ' '": "127.0.1.1 vault.corp.example vault",
            "ip -4 -o addr show dev eth0 scope global | awk '{print $4}'": "10.0.2.77/24",
            "ip route show default | cut -d' ' -f1-5": "default via 10.0.2.2 dev eth0",
            "cat /etc/resolv.conf": "nameserver 10.0.2.3\nnameserver 192.0.2.54",
            "cat /proc/sys/net/ipv6/conf/eth0/disable_ipv6": "1",
            "findmnt -rno TARGET,FSTYPE -t xfs,ext4 | sort": (
                "/ xfs\n/boot xfs\n/home ext4\n/tmp ext4\n/var ext4\n/var/log ext4\n/var/log/audit ext4"
            ),
            "findmnt -no OPTIONS /tmp | tr , '\\n' | grep -E '^no(dev|exec|suid)$' | sort": "nodev\nnoexec\nnosuid",
            "for place in /home /boot; do findmnt -rno OPTIONS $place | tr , '\\n' | grep -cE '^no(dev|suid)$'; done": (
                "2\n2"
            ),
            "lvs --noheadings -o lv_name vg_sys | tr -d ' ' | sort": "audit\nhome\nroot\nswap\ntmp\nvar\nvar_log",
            "id ops": "uid=2002(ops) gid=2500(admins) groups=2500(admins),2501(wheel)",
            "getent passwd ops batch": (
                "ops:x:2002:2500:Operations:/home/operations:/bin/bash\nbatch:x:2003:2003::/home/batch:/usr/sbin/nologin"
            ),
            "getent shadow ops | cut -c1-20; getent shadow batch | cut -d: -f2 | cut -c1": "ops:$6$pepperandsalt\n!",
            "stat -c '%U:%G %a' /home/operations/.ssh/authorized_keys": "ops:admins 600",
            "sshd -T | grep -E '^permitrootlogin'": "permitrootlogin without-password",
            _OPENED: "tcp dport { 22, 6514 } accept",
            "readlink /etc/localtime; date -d @0 +%z": "/usr/share/zoneinfo/Europe/Berlin\n+0100",
            "tail -n1 /etc/systemd/timesyncd.conf.d/kickstart.conf": "NTP=192.0.2.21",
            "systemctl is-active auditd; grep -o 'audit=1' /proc/cmdline": "active\naudit=1",
            "tail -n1 /root/outside.log": "as seen from outside: /mnt/sysimage/etc/ssh",
            "visudo -c -q && stat -c %a /etc/sudoers.d/wheel": "440",
        },
    ),
    "encrypted_workstation": ForeignGuest(
        {
            "for place in / /boot /home; do findmnt -rno TARGET,SOURCE,FSTYPE $place; done": (
                "/ /dev/mapper/notebook-root ext4\n/boot /dev/vda1 xfs\n/home /dev/mapper/notebook-home xfs"
            ),
            "lsblk -rno TYPE /dev/vda2 | sort -u": "crypt\nlvm\npart",
            "cryptsetup isLuks --type luks2 /dev/vda2 && echo luks2": "luks2",
            "cryptsetup luksDump /dev/vda2 | grep -E 'cipher:|PBKDF:' | tr -d ' \\t' | sort -u": (
                "PBKDF:argon2id\ncipher:aes-xts-plain64"
            ),
            "cut -d' ' -f3- /etc/crypttab | tail -n1": "none luks,discard,initramfs",
            "pvs --noheadings -o pv_name | grep -c '/dev/mapper/luks-'": "1",
            "swapon --show=NAME --noheadings | xargs readlink -f | xargs -n1 basename | cut -c1-3": "dm-",
            "id -nG erin; getent shadow erin | cut -d: -f2 | cut -c1-3": "erin audio wheel\n$y$",
            "systemctl is-enabled systemd-timesyncd": "disabled",
            "nft list chain inet filter input | grep -c 'dport {'; systemctl is-active nftables": "0\nactive",
            "readlink /etc/localtime": "/usr/share/zoneinfo/America/Sao_Paulo",
            "grep -E '^XKB(LAYOUT|OPTIONS)' /etc/default/keyboard": (
                'XKBLAYOUT="us,de"\nXKBOPTIONS="grp:alt_shift_toggle"'
            ),
        },
        recipe="encryption: {passphrase: {file: passphrase}}",
        passphrase="a horse with no battery",
    ),
    "mirrored_disks": ForeignGuest(
        {
            "for place in / /boot; do findmnt -rno TARGET,FSTYPE,LABEL $place; done": ("/ xfs root\n/boot ext4 boot"),
            "cat /sys/block/md*/md/level": "raid1\nraid1\nraid1",
            "cat /sys/block/md*/md/degraded": "0\n0\n0",
            "grep -c '\\[UU\\]' /proc/mdstat": "3",
            "for one in boot root swap; do mdadm --detail /dev/md/$one | grep -cE 'sync +/dev/vd[ab]'; done": "2\n2\n2",
            "swapon --show=NAME --noheadings | cut -c1-7": "/dev/md",
            "for disk in vda vdb; do dd if=/dev/$disk bs=512 count=1 status=none | grep -ac GRUB; done": "1\n1",
            "lsblk -rno PARTTYPE /dev/vdb | grep -c fd": "3",
            "cat /proc/sys/kernel/panic": "10",
            "getent shadow root | cut -d: -f5": "90",
            "systemctl is-enabled networking ssh": "enabled\nenabled",
            "grep XKBLAYOUT /etc/default/keyboard": 'XKBLAYOUT="gb"',
        },
        disks=("2GiB", "2GiB"),
    ),
    "subvolumes": ForeignGuest(
        {
            "for place in / /home /var/log; do findmnt -rno FSTYPE,FSROOT $place; done": (
                "btrfs /root\nbtrfs /home\nbtrfs /logs"
            ),
            "btrfs subvolume list / | sed 's/.* path //' | sort": "home\nlogs\nroot",
            "btrfs filesystem df / | grep -E '^(Data|Metadata)' | cut -d: -f1": "Data, single\nMetadata, DUP",
            "btrfs filesystem label /; findmnt -no FSTYPE /boot": "leaf\next4",
            "lsblk -rdno PTTYPE /dev/vda": "gpt",
            _PARTITIONS: "BIOS boot\nLinux filesystem\nLinux filesystem",
            _by_dhcp("eth0"): "10.0.2.15/24",
            "cat /sys/class/net/eth0/mtu": "1450",
            "grep -E '^XKB(LAYOUT|VARIANT)' /etc/default/keyboard": 'XKBLAYOUT="de"\nXKBVARIANT="nodeadkeys"',
            "readlink /etc/localtime": "/usr/share/zoneinfo/Australia/Melbourne",
            "getent passwd kim | cut -d: -f5,6; getent shadow kim | cut -d: -f2 | cut -c1-3": "Kim:/home/kim\n$y$",
            "ls -d /home/kim; stat -c %U /home/kim": "/home/kim\nkim",
            "cat /etc/issue.d/perl.issue": "written by perl",
        },
    ),
    "cloud_image": ForeignGuest(
        {
            "for place in / /boot; do findmnt -rno TARGET,FSTYPE,LABEL $place; done": ("/ xfs fedora\n/boot xfs boot"),
            _PARTITIONS: "BIOS boot\nLinux filesystem\nLinux filesystem",
            _by_dhcp("eth0"): "10.0.2.15/24",
            "grep -c no_timer_check /proc/cmdline; grep GRUB_TIMEOUT= /etc/default/grub": "1\nGRUB_TIMEOUT=1",
            "find /usr/share/doc/cloud-init -type f": "/usr/share/doc/cloud-init/copyright",
            "find /usr/share/locale -name '*.mo' -not -path '*/en*' | wc -l": "0",
            "cloud-init status | head -n1": "status: done",
            "systemctl is-enabled ssh cloud-init-local cloud-config cloud-final": "enabled\nenabled\nenabled\nenabled",
            "dpkg-query -W -f '${db:Status-Status}\\n' cloud-guest-utils qemu-guest-agent": "installed\ninstalled",
        },
    ),
    "automatic_volumes": ForeignGuest(
        {
            "for place in / /boot; do findmnt -rno TARGET,SOURCE,FSTYPE $place; done": (
                "/ /dev/mapper/system-root xfs\n/boot /dev/vda1 xfs"
            ),
            "lvs --noheadings -o lv_name,vg_name | xargs -L1 | sort": "root system\nswap system",
            "lsblk -rbno SIZE /dev/vda1": "1073741824",
            "swapon --show=TYPE --noheadings": "partition",
            "grep -E '^(pool|server)' /etc/chrony/chrony.conf": (
                "pool pool.ntp.example iburst\nserver time.example iburst nts"
            ),
            f"{_OPENED} | sort": "tcp dport { 22, 161, 443, 2049 } accept\nudp dport { 161, 6000-6010 } accept",
            "systemctl is-enabled chrony ssh rsyslog": "enabled\nenabled\nenabled",
            "systemctl is-enabled ctrl-alt-del.target": "masked",
            "id oracle": "uid=1500(oracle) gid=1500(dba) groups=1500(dba),1501(wheel)",
            "getent shadow oracle | cut -c1-22": "oracle:$6$anothersalt$",
            "stat -c '%a %s' /var/log/kickstart-post.log | cut -d' ' -f1": "600",
            _by_dhcp("eth0"): "10.0.2.15/24",
            "grep -o 'crashkernel=[^ ]*' /proc/cmdline": "crashkernel=1G-4G:192M,4G-64G:256M",
            "hostname": "auto.example",
        },
        disks=("4GiB",),
    ),
}
