#!/bin/bash
# QEMU opens a file passed as /dev/fdset/N for disks and serial ports, but not for filter-dump, which captures frames.
#
# For Debian 12; the host must have the libraries that this package links with (another qemu-system-x86 installs them).
set -eu

packages=(
    "qemu-system-x86=1:7.2+dfsg-7+deb12u18+b3"
    "qemu-system-common=1:7.2+dfsg-7+deb12u18+b3"
    "qemu-system-data=1:7.2+dfsg-7+deb12u18"
    "seabios=1.16.2-1"
)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for package in "${packages[@]}"; do
    apt-get -qq -o APT::Sandbox::User=root download "$package" >/dev/null
done
for file in ./*.deb; do dpkg -x "$file" root; done
export PATH="$work/root/usr/bin:$PATH" QEMU_MODULE_DIR="$work/root/usr/lib/x86_64-linux-gnu/qemu"

qemu-system-x86_64 --version | head -n 1
cat <<'END'
A program that starts QEMU, or talks to its monitor, can pass an open file: QEMU then opens the path /dev/fdset/N instead
of a file that its own user would have to reach. That works for the image of a disk and for the output of a serial port.
The object filter-dump takes such a path for a file of the file system: it cannot open it.
END

truncate -s 1M disk.raw
exec 3<disk.raw 4>output-of-guest

# Print whether QEMU starts with a file that is only passed as a descriptor ("opens"): 3 to read, 4 to write.
try() {
    # -S: the guest never runs an instruction. QEMU exits when its monitor reads "quit".
    if echo quit | qemu-system-x86_64 -L root/usr/share/seabios -L root/usr/share/qemu -machine pc,accel=tcg -m 32 -S \
        -nodefaults -display none -monitor stdio -add-fd fd=3,set=1 -add-fd fd=4,set=2 -netdev user,id=net0 "$@" \
        >output 2>&1; then
        echo opens
    elif grep -q "can't open /dev/fdset/2: No such file or directory" output; then
        echo "no such file"
    else
        echo fails
        cat output >&2
    fi
}

{
    echo "disk: $(try -drive file=/dev/fdset/1,format=raw,if=virtio,readonly=on)"
    echo "serial port: $(try -serial file:/dev/fdset/2)"
    echo "filter-dump: $(try -object filter-dump,id=dump0,netdev=net0,file=/dev/fdset/2)"
} >seen
cat seen

cat >expected <<'END'
disk: opens
serial port: opens
filter-dump: no such file
END
diff expected seen || { echo "The behaviour has changed." >&2; exit 1; }
