#!/bin/bash
# Under QEMU 7.2's emulation a dynamically linked program starts several times slower with address space randomisation.
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
    "dash=0.5.12-2"
    "libc6=2.36-9+deb12u14"
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
With address space randomisation the loader and the C library are at other addresses in each program that starts; with
norandmaps on the kernel's command line they are always at the same, and the program starts in a third of the time. A
static program that is not position-independent has fixed addresses anyway: for it there is hardly a difference. The
guest starts both kinds of program a hundred times, and counts its own hundredths of a second.
END

mkdir -p guest/bin guest/dev guest/proc guest/lib/x86_64-linux-gnu guest/lib64
cp root/bin/busybox guest/bin/
cp root/bin/dash guest/bin/
cp -L root/lib/x86_64-linux-gnu/libc.so.6 guest/lib/x86_64-linux-gnu/
cp -L root/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 guest/lib64/
cat >guest/init <<'END'
#!/bin/busybox sh
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t devtmpfs none /dev
started() {
    read -r before _ </proc/uptime
    for number in 0 1 2 3 4 5 6 7 8 9; do
        for again in 0 1 2 3 4 5 6 7 8 9; do "$@"; done
    done
    read -r after _ </proc/uptime
    echo "hundredths: ${before%.*}${before#*.} ${after%.*}${after#*.}"
}
started /bin/dash -c :
started /bin/busybox true
/bin/busybox poweroff -f
END
chmod +x guest/init
(cd guest && find . | cpio --quiet -o -H newc) >initrd

# Print what the guest prints, with further words on its kernel's command line.
boot() {
    timeout 300 qemu-system-x86_64 -L root/usr/share/seabios -L root/usr/share/qemu -machine pc,accel=tcg -cpu max \
        -m 256 -nodefaults -display none -no-reboot -serial stdio -kernel root/boot/vmlinuz-* -initrd initrd \
        -append "console=ttyS0 quiet panic=-1 no_timer_check $1" </dev/null | tr -d '\r'
}

for words in "" norandmaps; do
    boot "$words" >output
    sed -n 's/^hundredths: 0*\([0-9]*\) 0*\([0-9]*\)$/\1 \2/p' output >pairs
    { read -r from to; read -r static_from static_to; } <pairs
    echo "${words:-with randomisation}: 100 dynamically linked programs start in $((to - from)) hundredths of a second," \
        "100 static ones in $((static_to - static_from))"
    echo "$((to - from))" >>seconds
done
{ read -r with; read -r without; } <seconds
echo "with randomisation it takes $((with / (without + 1))) times as long"
[ "$with" -ge $((2 * without)) ] || { echo "The behaviour has changed." >&2; exit 1; }
