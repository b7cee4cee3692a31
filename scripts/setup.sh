#!/bin/sh
# Prepares a machine for imagebuild: system packages, a kernel for libguestfs's appliance, and the
# environment .venv. It may be run again at any time: what is installed stays as it is. It never asks.
#
#   scripts/setup.sh            install what is missing
#   scripts/setup.sh --lint     install what `make lint` needs, too
#   scripts/setup.sh --tests    install what `make test` needs, too
#   scripts/setup.sh --dry-run  only print what would be installed
#
# Exit status: 0 ready, 1 something failed, 2 wrong usage, 3 this host cannot run it (what to do is printed).
# SETUP_ROOT is prepended to the paths that describe the machine (/etc/os-release, /boot, …); tests use it.
set -eu

export LC_ALL=C.UTF-8
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
cd "$(dirname "$0")/.."

# The distribution's Python: libguestfs's binding is built for this one only.
python=/usr/bin/python3
venv=$(pwd -P)/.venv
log=build/setup.log
host=${SETUP_ROOT-}

say() { printf 'setup: %s\n' "$*"; }

# die STATUS MESSAGE [HINT]
die() {
    printf 'setup: error: %s\n' "$2" >&2
    [ $# -lt 3 ] || printf 'setup: hint: %s\n' "$3" >&2
    exit "$1"
}

# --- what is needed: one "package|why" per line -------------------------------------------------------------------

debian_packages() {
    cat <<'END'
ca-certificates|downloads over https
python3-venv|the environment .venv
python3-guestfs|libguestfs: changes a disk without booting it
libguestfs-tools|guestfish prints libguestfs's version; virt-builder reads shelves in tests; virt-sysprep and others are for the benchmark
libguestfs-xfs|XFS file systems in libguestfs
virtinst|virt-install: starts the installation
python3-libvirt|libvirt's Python binding: watches the installation
python3-libnbd|libnbd's Python binding: reads the disk in an image for `imagebuild export`
libvirt-clients|virsh, for inspecting a running installation; virt-xml-validate
libxml2-utils|xmllint: virt-xml-validate checks domain definitions against libvirt's schema with it
libvirt-daemon|libvirtd: runs the virtual machine
libvirt-daemon-driver-qemu|libvirtd's QEMU driver
libvirt-daemon-system|the system-wide libvirtd: its user and its configuration
qemu-system-x86|QEMU: the virtual machine itself
qemu-utils|qemu-img: checks images, makes vhdx; qemu-nbd: opens them for `imagebuild export`
ovmf|UEFI firmware for virtual machines, with secure boot too
mmdebstrap|builds the Debian root archive and the installer's runtime
debian-archive-keyring|the keys that Debian's packages are checked with
uidmap|lets an ordinary user run mmdebstrap
squashfs-tools|packs the installer's runtime
cpio|packs initial RAM disks
zstd|packs the root archive
fdisk|sfdisk: partition tables
openssl|hashes passwords
groff-base|formats the man page
gpgv|checks who signed a distribution's checksums
gpg|signs the indexes of shelves; generates keys for the signature tests
gpg-agent|gpg needs it for its secret keys
gpgconf|asks whether gpg's agent is running, and stops it
openssh-client|asks a booted clone's SSH server how one may log in; `imagebuild run --ssh`
xorriso|reads and writes ISO images
END
}

# Package names of Fedora and EPEL, to the best of our knowledge; never run.
fedora_packages() {
    cat <<'END'
ca-certificates|downloads over https
python3|the environment .venv
python3-libguestfs|libguestfs: changes a disk without booting it
libguestfs|guestfish prints libguestfs's version
guestfs-tools|virt-sysprep and others, for the benchmark; virt-builder reads shelves in tests
virt-install|virt-install: starts the installation
python3-libvirt|libvirt's Python binding: watches the installation
python3-libnbd|libnbd's Python binding: reads the disk in an image for `imagebuild export`
libvirt-client|virsh, for inspecting a running installation; virt-xml-validate
libxml2|xmllint: virt-xml-validate checks domain definitions against libvirt's schema with it
libvirt-daemon-kvm|libvirt's daemon with its QEMU driver
qemu-kvm|QEMU: the virtual machine itself
qemu-img|qemu-img: checks images, makes vhdx; qemu-nbd: opens them for `imagebuild export`
edk2-ovmf|UEFI firmware for virtual machines, with secure boot too
mmdebstrap|builds the Debian root archive and the installer's runtime
debian-keyring|the keys that Debian's packages are checked with
shadow-utils|lets an ordinary user run mmdebstrap
squashfs-tools|packs the installer's runtime
cpio|packs initial RAM disks
zstd|packs the root archive
util-linux|sfdisk: partition tables
openssl|hashes passwords
groff-base|formats the man page
gnupg2|gpgv checks who signed a distribution's checksums; gpg signs the indexes of shelves
openssh-clients|asks a booted clone's SSH server how one may log in; `imagebuild run --ssh`
xorriso|reads and writes ISO images
END
}

lint_packages() {
    case $1 in
        fedora) echo 'ShellCheck|checks the shell scripts' ;;
        *) echo 'shellcheck|checks the shell scripts' ;;
    esac
}

test_packages() {
    case $1 in
        fedora)
            echo "dnsmasq|the tests' libvirt hosts: DHCP in their virtual networks"
            echo "nmap-ncat|nc: libvirt reaches a socket that a URI names over SSH with it"
            echo "postgresql-server|the tests start servers for ledgers; this machine's own server stays off"
            ;;
        *)
            echo "dnsmasq-base|the tests' libvirt hosts: DHCP in their virtual networks"
            echo "netcat-openbsd|nc: libvirt reaches a socket that a URI names over SSH with it"
            echo "postgresql|the tests start servers for ledgers; this machine's own server stays off"
            ;;
    esac
    cat <<'END'
openssh-server|the tests' libvirt hosts and SFTP servers are reached over SSH; this machine's own SSH server stays off
skopeo|reads exported container images
umoci|unpacks exported container images
virt-v2v|reads exported OVAs
vagrant-libvirt|adds exported boxes
graphviz|`imagebuild graph` lays out plans with its program dot
chromium|the tests look at the page of `imagebuild page` in a browser
chromium-driver|lets the tests control the browser
softhsm2|a PKCS#11 token that the tests sign with
tmux|the tests look at progress in a terminal that changes its size
END
}

kernel_package() {
    why="a kernel for libguestfs's appliance: /boot has none whose modules are installed"
    case $1 in
        debian) echo "linux-image-cloud-amd64|$why" ;;
        ubuntu) echo "linux-image-virtual|$why" ;;
        fedora) echo "kernel-core|$why" ;;
    esac
}

# --- what is installed ------------------------------------------------------------------------------------------

# Prints debian, ubuntu or fedora: the distribution whose package names this machine uses.
distribution() (
    ID='' ID_LIKE=''
    # shellcheck disable=SC1091 # a file of the machine
    [ ! -r "$host/etc/os-release" ] || . "$host/etc/os-release"
    for id in $ID $ID_LIKE; do
        case $id in
            debian | ubuntu | fedora) echo "$id" && return ;;
            rhel | centos) echo fedora && return ;;
        esac
    done
    die 3 "setup supports Debian, Ubuntu, Fedora and the RHEL family; this is '${ID:-unknown}'" \
        "install by hand the packages that scripts/setup.sh lists at its top"
)

# Prints the path of the newest kernel whose modules are installed; libguestfs uses the newest, too.
newest_kernel() {
    for kernel in "$host"/boot/vmlinuz-*; do
        if [ -e "$kernel" ] && [ -d "$host/lib/modules/${kernel##*/vmlinuz-}" ]; then
            echo "$kernel"
        fi
    done | sort -V | tail -n 1
}

# installed DISTRIBUTION PACKAGE…: prints those of the packages that are installed.
installed() {
    family=$1
    shift
    case $family in
        fedora) rpm -q --qf '%{NAME}\n' "$@" 2>/dev/null | grep -v ' ' || true ;;
        *) dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p' ;;
    esac
}

# Copies the lines of stdin whose package is not installed.
only_missing() {
    table=$(cat)
    # shellcheck disable=SC2046 # package names are words
    present=$(installed "$1" $(printf '%s\n' "$table" | cut -d'|' -f1) | tr '\n' ' ')
    printf '%s\n' "$table" | while IFS='|' read -r package why; do
        case " $present" in
            *" $package "*) ;;
            *) printf '%s|%s\n' "$package" "$why" ;;
        esac
    done
}

missing_packages() {
    {
        case $1 in
            fedora) fedora_packages ;;
            *) debian_packages ;;
        esac
        [ -z "$lint" ] || lint_packages "$1"
        [ -z "$tests" ] || test_packages "$1"
        [ -n "$(newest_kernel)" ] || kernel_package "$1"
    } | only_missing "$1"
}

# --- the system part, which alone needs root --------------------------------------------------------------------

can_be_root() { [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

# need_root WHY COMMAND: exits, printing the command to run by hand, unless this user can become root without a prompt.
need_root() {
    can_be_root || die 3 "$1; this needs root, and sudo would ask for a password" \
        "run this command, then the same make again:
    $2"
}

# Output of the package managers goes to the log; its end is shown when they fail.
logged() { "$@" </dev/null >>"$log" 2>&1; }

failed() {
    tail -n 15 "$log" >&2
    die 3 "$1" "$2 (full output: $log)"
}

# Modified configuration files are kept, and no service is restarted unasked.
apt_get() {
    logged as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
        ${http_proxy:+"http_proxy=$http_proxy"} ${https_proxy:+"https_proxy=$https_proxy"} \
        apt-get -q --yes -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 -o Dpkg::Options::=--force-confold "$@"
}

# DPkg::Lock::Timeout does not cover the lock of the package lists: wait for a fresh machine's own apt-get update.
# A broken third-party source makes apt-get fail although Debian's own lists are there, so that is only a warning.
apt_update() {
    tries=0
    while ! apt_get update; do
        tries=$((tries + 1))
        if tail -n 3 "$log" | grep -q 'lists/lock' && [ "$tries" -lt 30 ]; then
            sleep 10
        else
            say "warning: apt-get update reported errors (see $log); continuing with the existing lists"
            return
        fi
    done
}

# keep_ssh_off DISTRIBUTION PACKAGE…: installing an SSH server for the tests must not open this machine to others.
# Debian's ssh.service, ssh.socket and init script all check the file.
keep_ssh_off() {
    case " $* " in
        *" openssh-server "*) ;;
        *) return 0 ;;
    esac
    case $1 in
        fedora)
            switch=$host/etc/systemd/system/sshd.service
            command="mkdir -p ${switch%/*} && ln -sf /dev/null $switch"
            ;;
        *)
            switch=$host/etc/ssh/sshd_not_to_be_run
            command="mkdir -p ${switch%/*} && touch $switch"
            ;;
    esac
    say "this machine's own SSH server stays off; to use it, remove $switch"
    logged as_root sh -c "$command" || failed "the SSH server could not be kept off" "install openssh-server by hand"
}

# keep_postgresql_off PACKAGE…: on Debian the package would create a database cluster and start its server.
keep_postgresql_off() {
    case " $* " in
        *" postgresql "*) ;;
        *) return 0 ;;
    esac
    switch=$host/etc/postgresql-common/createcluster.conf
    command="mkdir -p ${switch%/*} && echo 'create_main_cluster = false' >>$switch"
    ! grep -qs '^ *create_main_cluster' "$switch" || return 0
    say "no PostgreSQL cluster is created; to get one later, use pg_createcluster"
    logged as_root sh -c "$command" || failed "PostgreSQL could not be kept off" "install postgresql by hand"
}

install_packages() {
    family=$1
    shift
    case $family in
        fedora)
            need_root "packages are missing" "sudo dnf install $*"
            keep_ssh_off "$family" "$@"
            logged as_root dnf --assumeyes --setopt=install_weak_deps=False install "$@" ||
                failed "dnf could not install the packages" "on RHEL and its rebuilds, some of them are in EPEL"
            ;;
        *)
            need_root "packages are missing" "sudo apt-get update; sudo apt-get install --no-install-recommends $*"
            apt_update
            keep_ssh_off "$family" "$@"
            keep_postgresql_off "$@"
            apt_get --no-install-recommends install "$@" ||
                failed "apt-get could not install the packages" "check the network and apt's sources; Ubuntu needs 'universe'"
            ;;
    esac
}

system_packages() {
    missing=$(missing_packages "$1")
    [ -n "$missing" ] || return 0
    say "installing missing packages with their dependencies (a minute or two):"
    printf '%s\n' "$missing" | while IFS='|' read -r package why; do
        printf '    %-28s %s\n' "$package" "$why"
    done
    [ -z "$dry_run" ] || return 0
    # shellcheck disable=SC2046 # package names are words
    install_packages "$1" $(printf '%s\n' "$missing" | cut -d'|' -f1)
}

# On Ubuntu only root can read kernels, so libguestfs fails for everybody else. The file is no secret (anyone can
# download the package). dpkg keeps the override when it updates this kernel; a newer kernel gets its own.
readable_kernel() {
    kernel=$(newest_kernel)
    if [ -z "$kernel" ] || [ -r "$kernel" ]; then
        return 0
    fi
    case $1 in
        fedora) command="chmod 0644 $kernel" ;;
        *) command="dpkg-statoverride --force-statoverride-add --update --add root root 0644 $kernel" ;;
    esac
    say "making $kernel readable: libguestfs boots it in its appliance, and you are not root"
    say "    $command"
    [ -z "$dry_run" ] || return 0
    need_root "libguestfs must read the kernel" "sudo $command"
    # shellcheck disable=SC2086 # split into words on purpose
    logged as_root $command || failed "the kernel could not be made readable" "run the command above by hand as root"
}

# --- the environment --------------------------------------------------------------------------------------------

# A digest of what .venv depends on: if it has not changed, there is nothing to install.
stamp() {
    { "$python" -V && echo "$venv" && cat pyproject.toml requirements.lock; } | sha256sum | cut -d' ' -f1
}

environment_complete() { "$venv/bin/python" scripts/check_environment.py; }

# pip cannot repair a .venv that was moved, created with another Python, or damaged.
environment_usable() {
    minor=$("$python" -c 'import sys; print("%d.%d." % sys.version_info[:2])')
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 &&
        grep -qF "version = $minor" "$venv/pyvenv.cfg" &&
        grep -qxF "command = $python -m venv --system-site-packages $venv" "$venv/pyvenv.cfg"
}

pip_install() {
    logged "$venv/bin/python" -m pip install --disable-pip-version-check "$@" ||
        failed "pip could not install $*" "check the network and pip's configuration"
}

make_environment() {
    if ! environment_usable; then
        say "creating .venv with $python ($("$python" -V))"
        rm -rf "$venv"
        logged "$python" -m venv --system-site-packages "$venv" ||
            failed "the environment .venv could not be created" "check that $(pwd -P) is writable and has free space"
    fi
    say "installing imagebuild and its dependencies into .venv"
    # The lock names what is installed, by digest; the libguestfs and libvirt bindings are the distribution's.
    pip_install --require-hashes --requirement requirements.lock
    pip_install --no-deps --no-build-isolation --editable .
}

environment() {
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die 3 "imagebuild needs Python 3.11 or newer; $python is $("$python" -V)" \
            "use a newer release of the distribution: libguestfs's binding works only with the system's Python"
    wanted=$(stamp)
    if [ "$(cat "$venv/.setup-stamp" 2>/dev/null)" = "$wanted" ]; then
        if environment_complete; then
            return 0
        fi
        say ".venv is damaged; creating it again"
        rm -rf "$venv"
    fi
    make_environment
    environment_complete || die 1 "the environment .venv is incomplete" "see $log; \`make clean\` removes .venv"
    echo "$wanted" >"$venv/.setup-stamp"
}

# --- verification -----------------------------------------------------------------------------------------------

verify() {
    lacking=''
    for module in guestfs libvirt; do
        "$venv/bin/python" -c "import $module" || lacking="$lacking python-module-$module"
    done
    virt-install --version >/dev/null || lacking="$lacking virt-install"
    for program in guestfish qemu-img mmdebstrap mksquashfs sfdisk cpio zstd openssl; do
        command -v "$program" >/dev/null || lacking="$lacking $program"
    done
    # RHEL keeps QEMU out of PATH.
    command -v qemu-system-x86_64 >/dev/null || [ -x /usr/libexec/qemu-kvm ] || lacking="$lacking qemu-system-x86_64"
    kernel=$(newest_kernel)
    { [ -n "$kernel" ] && [ -r "$kernel" ]; } || lacking="$lacking readable-kernel"
    [ -z "$lacking" ] ||
        die 3 "still missing:$lacking" "the packages are installed; see $log, then run \`imagebuild doctor\`"
}

# Notes about settings that setup does not change.
notes() {
    if [ -e "$host/dev/kvm" ] && [ ! -w "$host/dev/kvm" ]; then
        say "note: you have no access to /dev/kvm, so builds are emulated and slow; to get access:"
        say "    sudo usermod --append --groups kvm $(id -un)    (then log in again)"
    fi
    if [ "$(id -u)" -ne 0 ] && ! grep -q -e "^$(id -un):" -e "^$(id -u):" "$host/etc/subuid" 2>/dev/null; then
        say "note: you have no subordinate user ids, which mmdebstrap needs; to add them:"
        say "    sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $(id -un)"
    fi
}

main() {
    lint='' tests='' dry_run=''
    for option in "$@"; do
        case $option in
            --lint) lint=yes ;;
            --tests) tests=yes ;;
            --dry-run) dry_run=yes ;;
            *) die 2 "unknown option $option" "the options are --lint, --tests and --dry-run" ;;
        esac
    done
    family=$(distribution)
    mkdir -p "${log%/*}"
    system_packages "$family"
    readable_kernel "$family"
    [ -z "$dry_run" ] || return 0
    environment
    verify
    notes
    say "ready"
}

# Two runs in one checkout would interfere, so the second waits. With --close, programs that a package's installation
# leaves running do not inherit the lock.
if [ -z "${SETUP_LOCKED-}" ] && command -v flock >/dev/null; then
    exec env SETUP_LOCKED=1 flock --close scripts/setup.sh scripts/setup.sh "$@"
fi
main "$@"
