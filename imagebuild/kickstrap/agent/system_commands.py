"""What kickstrap does with commands other than those for storage."""

from __future__ import annotations

from .treatment import done, noted, refused

_SOURCE = "packages come from Debian's mirror (installer.mirror of the recipe, or url)"
_TREE = "install from a root archive (liveimg) or from a mirror (url, repo)"
_NOBODY = "nobody logs in to the installer"
_PAM = "Debian's PAM reads users from files; hashes are yescrypt"
_ANACONDA = "it is part of Anaconda"
_VM = "the installer's VM needs no drivers"
_OFF = "the VM is switched off in any case"
_APT = "apt verifies signatures, not connections: use a mirror that this host can reach without it"
_RPM = "it names RPM repositories, and Debian's packages come from a Debian mirror"

_DISPLAY = done("--non-interactive")
_END = done(noted={"--eject --kexec": _OFF})

COMMANDS = {
    "auth": noted(_PAM),
    "authconfig": noted(_PAM),
    "authselect": noted(_PAM),
    "autostep": noted("nothing is asked"),
    "bootc": refused(_TREE),
    "bootloader": done(
        "--append --timeout --location --boot-drive --driveorder --disabled --password --iscrypted",
        noted={
            "--leavebootorder --nombr": "kickstrap changes no boot order of a firmware",
            "--lba32 --upgrade --default": "it is for boot loaders before GRUB 2",
        },
        refused={
            "--extlinux --sdboot": "kickstrap installs GRUB: remove it",
            "--md5pass": "it is for GRUB 1: write --iscrypted --password= with a hash of grub-mkpasswd-pbkdf2",
        },
    ),
    "cdrom": noted(_SOURCE),
    "cmdline": _DISPLAY,
    "device": noted(_VM),
    "deviceprobe": noted(_VM),
    "driverdisk": noted(_VM),
    "eula": done("--agreed --agree --accepted --accept"),
    "firewall": done(
        "--enable --enabled --disable --disabled --service --remove-service --port --trust --ssh --http --ftp --smtp"
        " --telnet --use-system-defaults"
    ),
    "firstboot": done(
        "--disable --disabled", noted={"--enable --enabled --reconfig": "Debian asks nothing at the first boot"}
    ),
    "graphical": _DISPLAY,
    "group": done("--name --gid"),
    "halt": _END,
    "harddrive": noted(_SOURCE),
    "hmc": noted(_SOURCE),
    "install": done(refused={"--root-device": "kickstrap installs on new disks"}),
    "interactive": noted("nothing is asked"),
    "key": noted("Debian has no installation numbers"),
    "keyboard": done("--vckeymap --xlayouts --switch"),
    "lang": done("--addsupport"),
    "liveimg": done("--url --checksum", refused={"--proxy --noverifyssl": "the archive is a local file: remove it"}),
    "logging": noted("the log goes to this host, into the build's folder"),
    "mediacheck": noted("the build verifies what it installs"),
    "method": noted(_SOURCE),
    "module": noted("a Debian suite has one version of each package"),
    "monitor": noted("the installer has no screen"),
    "network": done(
        "--device --bootproto --ip --netmask --gateway --nameserver --hostname --onboot --activate --no-activate"
        " --noipv4 --noipv6 --ipv6 --ipv6gateway --mtu --nodefroute --ipv4-dns-search --ipv6-dns-search"
        " --bondslaves --bondopts --bridgeslaves --bridgeopts --vlanid --interfacename",
        noted={
            "--bindto": "interfaces are matched by name, so that every clone can use the same files",
            "--notksdevice": _ANACONDA,
            "--nodns --ipv4-ignore-auto-dns --ipv6-ignore-auto-dns --dhcpclass": "it is the guest's DHCP client's",
            "--ethtool": "a virtual card has no such settings",
        },
        refused={
            "--essid --wepkey --wpakey": "a virtual machine has no wireless network",
            "--teamslaves --teamconfig": "the team driver is deprecated: use --bondslaves and --bondopts",
        },
    ),
    "nfs": noted(_SOURCE),
    "ostreecontainer": refused(_TREE),
    "ostreesetup": refused(_TREE),
    "poweroff": _END,
    "rdp": noted(_NOBODY),
    "realm": refused("a clone joins a domain when it starts: do it there, for example with cloud-init"),
    "reboot": _END,
    "repo": done(
        "--name --baseurl --install",
        noted={
            "--cost": "apt installs the newest version, whatever the source",
            "--ignoregroups": "Debian has no package groups",
            "--mirrorlist --metalink": _RPM,
        },
        refused={
            "--includepkgs --excludepkgs": "write the preferences of apt in a %post script",
            "--proxy --noverifyssl --sslcacert --sslclientcert --sslclientkey": _APT,
        },
    ),
    "rescue": refused("kickstrap installs on new disks"),
    "rhsm": noted("Debian needs no subscription"),
    "rootpw": done("--iscrypted --plaintext --lock --allow-ssh"),
    "selinux": done("--disabled --enforcing --permissive"),
    "services": done("--enabled --disabled"),
    "shutdown": _END,
    "skipx": done(),
    "sshkey": done("--username"),
    "sshpw": noted(_NOBODY),
    "syspurpose": noted("Debian needs no subscription"),
    "text": _DISPLAY,
    "timesource": done("--ntp-server --ntp-pool --ntp-disable --nts"),
    "timezone": done("--utc --isUtc --ntpservers --nontp"),
    "unsupported_hardware": noted(_ANACONDA),
    "updates": noted(_ANACONDA),
    "upgrade": refused("kickstrap installs on new disks"),
    "url": done(
        "--url",
        noted={"--mirrorlist --metalink": _RPM},
        refused={"--proxy --noverifyssl --sslcacert --sslclientcert --sslclientkey": _APT},
    ),
    "user": done("--name --password --iscrypted --plaintext --lock --uid --gid --groups --homedir --shell --gecos"),
    "vnc": noted(_NOBODY),
    "xconfig": noted("X configures itself, and starts if a display manager is in %packages"),
    "zipl": noted("it is for s390x"),
}

_SCRIPT = "--interpreter --erroronfail --log --logfile"
_LOGS = "after a failure the logs are in the store"

SECTIONS = {
    "%addon": noted("add-ons are programs of Anaconda: what they would configure is not configured"),
    "%anaconda": noted(_ANACONDA),
    "%certificate": refused("write the certificate in a %post script"),
    "%include": done(),
    "%ksappend": refused("put the text into the kickstart template itself"),
    "%onerror": noted(_LOGS),
    "%packages": done(
        "--nocore --exclude-weakdeps --excludeWeakdeps --ignoremissing --excludedocs --inst-langs --instLangs",
        noted={
            "--nobase --default": "Debian has no package groups",
            "--multilib": "a package of another architecture is named as such: libc6:i386",
            "--retries --timeout": "the build repeats downloads itself",
            "--ignorebroken": "apt never installs packages that conflict",
        },
    ),
    "%post": done(f"{_SCRIPT} --nochroot"),
    "%pre": done(_SCRIPT),
    "%pre-install": done(_SCRIPT),
    "%traceback": noted(_LOGS),
}
