#!/bin/bash
# libvirt's ssh transport loses ssh's error if it is longer than 1024 bytes, as for a host key that has changed.
#
# For Debian 12; the host must have the libraries that these packages link with (other libvirt-clients install them).
set -eu

packages=(
    "libvirt-clients=9.0.0-4+deb12u2"
    "libvirt0=9.0.0-4+deb12u2"
)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for package in "${packages[@]}"; do
    apt-get -qq -o APT::Sandbox::User=root download "$package" >/dev/null
done
for file in ./*.deb; do dpkg -x "$file" root; done
export PATH="$work/root/usr/bin:$PATH" LD_LIBRARY_PATH="$work/root/usr/lib/x86_64-linux-gnu" LC_ALL=C

echo "virsh $(virsh --version)"
cat <<'END'
For a URI like qemu+ssh://host/system, libvirt starts ssh, and when ssh ends with an error, libvirt's own error contains
what ssh has printed, if that is at most 1024 bytes. With one byte more, it is only "Value too large for defined data
type". OpenSSH's error about a host key that has changed has about 800 bytes and three times the path of the file of known
keys, so that the length of this path decides whether the user is told of another host behind the address.
END

# Print libvirt's error if ssh prints so many bytes and fails.
try() {
    printf '#!/bin/sh\nhead -c %s /dev/zero | tr "\\0" x >&2\nexit 255\n' "$1" >ssh
    chmod +x ssh
    virsh -c "qemu+ssh://host/system?command=$work/ssh" hostname 2>&1 | sed -n 's/^error: Cannot recv data: \(x*\)/\1/p'
}

{
    echo "1024 bytes: $(try 1024 | tr -d x)"
    echo "1025 bytes: $(try 1025)"
} >seen
cat seen

cat >expected <<'END'
1024 bytes: : Connection reset by peer
1025 bytes: Value too large for defined data type
END
diff expected seen || { echo "The behaviour has changed." >&2; exit 1; }
