#!/bin/bash
# With the CPU feature ERMS, which QEMU's model "max" has, an emulated Linux copies memory several times slower.
#
# For Debian 12; the host must have the libraries that this package links with (another qemu-system-x86 installs them),
# and cpio.
set -eu

packages=(
    "qemu-system-x86=1:7.2+dfsg-7+deb12u18+b3"
    "qemu-system-common=1:7.2+dfsg-7+deb12u18+b3"
    "qemu-system-data=1:7.2+dfsg-7+deb12u18"
    "seabios=1.16.2-1"
    "linux-image-6.1.0-50-cloud-amd64=6.1.176-1"
    "busybox-static=1:1.35.0-4+deb12u1+b1"
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
The model "max" has all features that QEMU can emulate, and ERMS (fast "rep movsb") is one of them. Linux then copies
and clears memory with "rep movsb" and "rep stosb", which QEMU emulates byte by byte; without ERMS it takes "rep movsq".
The guest copies the same blocks with both kinds of processor, and counts its own hundredths of a second.
END

mkdir -p guest/bin guest/dev guest/proc
cp root/bin/busybox guest/bin/
cat >guest/init <<'END'
#!/bin/busybox sh
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox grep -q -w erms /proc/cpuinfo && echo "erms: yes" || echo "erms: no"
read -r before _ </proc/uptime
/bin/busybox dd if=/dev/zero of=/dev/null bs=1M count=400 2>/dev/null
read -r after _ </proc/uptime
echo "hundredths: ${before%.*}${before#*.} ${after%.*}${after#*.}"
/bin/busybox poweroff -f
END
chmod +x guest/init
(cd guest && find . | cpio --quiet -o -H newc) >initrd

# Print what the guest prints, with a processor of the given model.
boot() {
    timeout 300 qemu-system-x86_64 -L root/usr/share/seabios -L root/usr/share/qemu -machine pc,accel=tcg -cpu "$1" \
        -m 256 -nodefaults -display none -no-reboot -serial stdio -kernel root/boot/vmlinuz-* -initrd initrd \
        -append "console=ttyS0 quiet panic=-1 no_timer_check" </dev/null | tr -d '\r'
}

for model in max max,erms=off; do
    boot "$model" >output
    read -r before after < <(sed -n 's/^hundredths: 0*\([0-9]*\) 0*\([0-9]*\)$/\1 \2/p' output)
    echo "$model: $(grep '^erms' output), 400 MiB of /dev/zero read in $((after - before)) hundredths of a second"
    echo "$((after - before))" >>seconds
done
{ read -r with; read -r without; } <seconds
echo "with ERMS it takes $((with / (without + 1))) times as long"
[ "$with" -ge $((3 * without)) ] || { echo "The behaviour has changed." >&2; exit 1; }
