#!/bin/bash
# qemu-img reads a raw image that a guest has open for writing, without a warning; the same disk as qcow2 is refused.
#
# For Debian 12; the host must have the libraries that these packages link with (another qemu-system-x86 installs them).
set -eu

packages=(
    "qemu-utils=1:7.2+dfsg-7+deb12u18+b3"
    "qemu-system-x86=1:7.2+dfsg-7+deb12u18+b3"
    "qemu-system-common=1:7.2+dfsg-7+deb12u18+b3"
    "qemu-system-data=1:7.2+dfsg-7+deb12u18"
    "seabios=1.16.2-1"
)
work=$(mktemp -d)
guest=
cleanup() {
    [ -z "$guest" ] || kill "$guest" 2>/dev/null || true
    [ -z "$guest" ] || wait "$guest" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
cd "$work"
for package in "${packages[@]}"; do
    apt-get -qq -o APT::Sandbox::User=root download "$package" >/dev/null
done
for file in ./*.deb; do dpkg -x "$file" root; done
export PATH="$work/root/usr/bin:$PATH" QEMU_MODULE_DIR="$work/root/usr/lib/x86_64-linux-gnu/qemu"

qemu-img --version | head -n 1
cat <<'END'
A guest has an image open for writing, exclusively. `qemu-img convert` refuses to read the image, whatever its format.
`info`, `map`, `measure`, `compare` and `dd` refuse it only as qcow2: they read a raw image, and `dd` copies a disk that
may change at the same time and exits with 0. Only writing is refused for both.
END

# Print whether a command reads the image ("reads") or reports that another process has it open ("refuses").
try() {
    if "$@" >output 2>&1; then
        echo reads
    elif grep -q 'Failed to get.* lock' output; then
        echo refuses
    else
        echo fails
        cat output >&2
    fi
}

report() { # FORMAT
    local image=disk.$1
    echo "$1 info: $(try qemu-img info -f "$1" "$image")"
    echo "$1 map: $(try qemu-img map -f "$1" "$image")"
    echo "$1 measure: $(try qemu-img measure -f "$1" -O qcow2 "$image")"
    echo "$1 compare: $(try qemu-img compare -f "$1" -F raw "$image" same.raw)"
    echo "$1 dd: $(try qemu-img dd -f "$1" -O raw "if=$image" of=copy.raw)"
    echo "$1 convert: $(try qemu-img convert -f "$1" -O raw "$image" converted.raw)"
    echo "$1 write: $(try qemu-io -f "$1" -c 'write 0 512' "$image")"
}

qemu-img create -q -f raw same.raw 4M
for format in raw qcow2; do
    qemu-img create -q -f "$format" "disk.$format" 4M
    # -S: the guest never runs an instruction; its disk controller has the image open nevertheless.
    qemu-system-x86_64 -L root/usr/share/seabios -L root/usr/share/qemu -machine pc,accel=tcg -m 32 -S \
        -nodefaults -display none -drive "file=disk.$format,format=$format,if=virtio" -pidfile guest.pid &
    guest=$!
    for _ in $(seq 100); do [ -s guest.pid ] && break; sleep 0.1; done
    report "$format"
    kill "$guest"
    wait "$guest" || true
    guest=
    rm -f guest.pid
done >seen
cat seen

cat >expected <<'END'
raw info: reads
raw map: reads
raw measure: reads
raw compare: reads
raw dd: reads
raw convert: refuses
raw write: refuses
qcow2 info: refuses
qcow2 map: refuses
qcow2 measure: refuses
qcow2 compare: refuses
qcow2 dd: refuses
qcow2 convert: refuses
qcow2 write: refuses
END
diff expected seen || { echo "The behaviour has changed." >&2; exit 1; }
