"""What kickstrap does with the commands for storage."""

from __future__ import annotations

from .treatment import done, refused

_NEW = "the disks are new: there is nothing to reuse on them"
_OPAL = "a virtual disk does not encrypt itself: write --encrypted --passphrase=…"
_CACHE = "an image has no fast and slow disks: remove it"
_NETWORK = "the disks are those of the recipe: remove it"
_STRATIS = "use logvol or btrfs"
_COSTS = (
    "the costs of a passphrase are fixed (Argon2id, 4 passes, 64 MiB), so that they do not depend on the machine that"
    " installs"
)
_ESCROW = "an image has no place for it: keep the passphrase yourself, and remove it"
_EMPTY = "the disks are new, so whatever is cleared, all of them are used"

_ENCRYPTION = "--encrypted --passphrase --cipher --luks-version"
_NO_ESCROW = {"--escrowcert --backuppassphrase": _ESCROW}
_NOTED_COSTS = {"--pbkdf --pbkdf-iterations --pbkdf-memory --pbkdf-time": _COSTS}
_FORMATTED = "--fstype --label --fsoptions --mkfsoptions --fsprofile"

_PARTITION = done(
    f"--size --grow --maxsize --type --asprimary --ondisk --ondrive --onbiosdisk --onpart --usepart --recommended"
    f" --hibernation {_FORMATTED} {_ENCRYPTION}",
    noted={**_NOTED_COSTS, "--active": "the partition with /boot is the active one"},
    refused={
        "--noformat --resize": "the disks are new: what %pre creates has the right size, and --onpart formats it",
        "--start --end": "kickstrap places the partitions: remove it",
        "--hw-passphrase": _OPAL,
        "--bytes-per-inode": "write --mkfsoptions='-i BYTES'",
        **_NO_ESCROW,
    },
)

COMMANDS = {
    "autopart": done(
        f"--type --nolvm --fstype --noboot --nohome --noswap --hibernation {_ENCRYPTION}",
        noted=_NOTED_COSTS,
        refused={"--hw-passphrase": _OPAL, **_NO_ESCROW},
    ),
    "btrfs": done(
        "--label --data --metadata --subvol --name --mkfsoptions",
        refused={"--noformat --useexisting": _NEW, "--parent": "write LABEL=… instead"},
    ),
    "clearpart": done(
        "--all --initlabel --disklabel --drives",
        noted={"--linux --none --list": _EMPTY},
        refused={"--cdl": "it is for s390x: remove it"},
    ),
    "dmraid": refused(_NETWORK),
    "fcoe": refused(_NETWORK),
    "ignoredisk": done("--only-use --drives", refused={"--interactive": "nothing is asked: name the disks"}),
    "iscsi": refused(_NETWORK),
    "iscsiname": refused(_NETWORK),
    "logvol": done(
        "--vgname --name --size --grow --maxsize --percent --recommended --hibernation --thin --thinpool --poolname"
        f" --chunksize --metadatasize {_FORMATTED} {_ENCRYPTION}",
        noted={**_NOTED_COSTS, "--profile": "LVM's profiles are files of the installer: the defaults are used"},
        refused={
            "--noformat --useexisting --resize": _NEW,
            "--cachemode --cachepvs --cachesize": _CACHE,
            "--bytes-per-inode": "write --mkfsoptions='-i BYTES'",
            **_NO_ESCROW,
        },
    ),
    "mount": refused("the disks are new: create file systems with part, logvol, raid or btrfs"),
    "multipath": refused(_NETWORK),
    "nvdimm": refused(_NETWORK),
    "part": _PARTITION,
    "partition": _PARTITION,
    "raid": done(
        f"--device --level --spares --chunksize {_FORMATTED} {_ENCRYPTION}",
        noted=_NOTED_COSTS,
        refused={
            "--noformat --useexisting": _NEW,
            "--bytes-per-inode": "write --mkfsoptions='-i BYTES'",
            **_NO_ESCROW,
        },
    ),
    "reqpart": done("--add-boot"),
    "snapshot": done("--name --when"),
    "stratisfs": refused(_STRATIS),
    "stratispool": refused(_STRATIS),
    "volgroup": done("--pesize --reserved-space --reserved-percent", refused={"--noformat --useexisting": _NEW}),
    "zerombr": done(),
    "zfcp": refused(_NETWORK),
}
