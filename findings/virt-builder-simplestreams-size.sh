#!/bin/bash
# virt-builder takes the size of a file in simplestreams for the size of the disk in it.
#
# For Debian 12; the host must have the libraries that this package links with (another guestfs-tools installs them).
set -eu

packages=("guestfs-tools=1.48.2-1+deb12u1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for package in "${packages[@]}"; do
    apt-get -qq -o APT::Sandbox::User=root download "$package" >/dev/null
done
for file in ./*.deb; do dpkg -x "$file" root; done
export PATH="$work/root/usr/bin:$PATH"
export VIRT_BUILDER_DIRS="$work/none" XDG_CONFIG_HOME="$work/config" XDG_CACHE_HOME="$work/cache"

virt-builder --version
cat <<'END'
Items of simplestreams have the size of the file, by which clients check a download (simplestreams/contentsource.py).
virt-builder can read such a tree (format=simplestreams), and takes this size for that of the disk: the image of a disk of
4 GiB, a qcow2 of 196,672 bytes, is listed as one of a disk with 196,672 bytes.
END

qemu-img create -q -f qcow2 disk.qcow2 4G
size=$(stat -c %s disk.qcow2)
mkdir -p streams/v1 config/virt-builder/repos.d
cat >streams/v1/index.json <<'END'
{"format": "index:1.0", "index": {"x": {"format": "products:1.0", "datatype": "image-downloads",
 "path": "streams/v1/x.json"}}}
END
cat >streams/v1/x.json <<END
{"format": "products:1.0", "content_id": "x", "datatype": "image-downloads", "products": {"x": {"arch": "x86_64",
 "pubname": "x", "versions": {"1": {"items": {"disk1.img": {"ftype": "disk1.img", "path": "disk.qcow2", "size": $size}}}}}}}
END
printf '[x]\nuri=file://%s\nformat=simplestreams\n' "$work" >config/virt-builder/repos.d/x.conf
listed=$(virt-builder --list --list-format json --no-check-signature | sed -n 's/.*"size": \([0-9]*\).*/\1/p')
echo "file: $size, disk: 4294967296, listed: $listed"
[ "$listed" = "$size" ] || { echo "The behaviour has changed." >&2; exit 1; }
