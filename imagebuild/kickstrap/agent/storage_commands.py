"""What kickstrap does with the commands for storage."""

from __future__ import annotations

from .treatment import done, refused

_NEW = "the disks are new: there is nothing to reuse on them"
_CLONES = "every clone of an image would have the same key: encrypt the host's storage instead"
_MEMORY = "set --size in MiB: the guest's memory is not known here"
_THIN = "thin pools are not supported: give each volume a --size, or --grow"
_READABLE = "file systems are created so that older hosts can read them"
_CACHE = "an image has no fast and slow disks: remove it"
_WHOLE = "write clearpart --all: whole disks are used"
_NETWORK = "the disks are those of the recipe: remove it"
_STRATIS = "use logvol or btrfs"

_ENCRYPTION = (
    "--encrypted --passphrase --backuppassphrase --cipher --escrowcert --luks-version --pbkdf --pbkdf-iterations"
    " --pbkdf-memory --pbkdf-time"
)
_HARDWARE = "--hw-passphrase"
_INODES = "--bytes-per-inode --fsprofile --mkfsoptions"

_PARTITION = done(
    "--size --grow --maxsize --fstype --type --label --fsoptions --asprimary --ondisk --ondrive",
    refused={
        "--onpart --usepart --noformat --resize": _NEW,
        "--start --end --active --onbiosdisk": "kickstrap places the partitions: remove it",
        f"{_ENCRYPTION} {_HARDWARE}": _CLONES,
        "--recommended --hibernation": _MEMORY,
        _INODES: _READABLE,
    },
)

COMMANDS = {
    "autopart": done(
        "--type --nolvm --fstype --noboot --nohome --noswap",
        refused={f"{_ENCRYPTION} {_HARDWARE}": _CLONES, "--hibernation": _MEMORY},
    ),
    "btrfs": done(
        "--label --data --metadata --subvol --name",
        refused={"--noformat --useexisting": _NEW, "--mkfsoptions": _READABLE, "--parent": "write LABEL=… instead"},
    ),
    "clearpart": done(
        "--all --initlabel --disklabel --drives",
        refused={"--linux --none --list": _WHOLE, "--cdl": "it is for s390x: remove it"},
    ),
    "dmraid": refused(_NETWORK),
    "fcoe": refused(_NETWORK),
    "ignoredisk": done("--only-use --drives", refused={"--interactive": "nothing is asked: name the disks"}),
    "iscsi": refused(_NETWORK),
    "iscsiname": refused(_NETWORK),
    "logvol": done(
        "--vgname --name --size --grow --maxsize --percent --fstype --label --fsoptions",
        refused={
            "--noformat --useexisting --resize": _NEW,
            "--thin --thinpool --poolname --chunksize --metadatasize --profile": _THIN,
            "--cachemode --cachepvs --cachesize": _CACHE,
            _ENCRYPTION: _CLONES,
            "--recommended --hibernation": _MEMORY,
            _INODES: _READABLE,
        },
    ),
    "mount": refused("the disks are new: create file systems with part, logvol, raid or btrfs"),
    "multipath": refused(_NETWORK),
    "nvdimm": refused(_NETWORK),
    "part": _PARTITION,
    "partition": _PARTITION,
    "raid": done(
        "--device --level --fstype --label --fsoptions",
        refused={
            "--noformat --useexisting": _NEW,
            "--spares": "name all disks as members",
            "--chunksize": "mdadm's default is used: remove it",
            _ENCRYPTION: _CLONES,
            _INODES: _READABLE,
        },
    ),
    "reqpart": done("--add-boot"),
    "snapshot": refused("an image has no earlier state: remove it"),
    "stratisfs": refused(_STRATIS),
    "stratispool": refused(_STRATIS),
    "volgroup": done(
        "--pesize",
        refused={
            "--noformat --useexisting": _NEW,
            "--reserved-space --reserved-percent": "give the volumes a --size that leaves the space free",
        },
    ),
    "zerombr": done(),
    "zfcp": refused(_NETWORK),
}
