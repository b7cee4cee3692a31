#!/bin/bash
# libnbd's Python binding never frees a buffer into which aio_pread() has read.
#
# For Debian 12; the host must have the libraries that these packages link with (another qemu-utils installs them).
set -eu

packages=(
    "python3-libnbd=1.14.2-1"
    "libnbd0=1.14.2-1"
    "qemu-utils=1:7.2+dfsg-7+deb12u18+b3"
)
work=$(mktemp -d)
server=
cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    [ -z "$server" ] || wait "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
cd "$work"
for package in "${packages[@]}"; do
    apt-get -qq -o APT::Sandbox::User=root download "$package" >/dev/null
done
for file in ./*.deb; do dpkg -x "$file" root; done
export PATH="$work/root/usr/bin:$PATH" PYTHONPATH="$work/root/usr/lib/python3/dist-packages"
export LD_LIBRARY_PATH="$work/root/usr/lib/x86_64-linux-gnu"

cat <<'END'
A program reads 100 times 4 MiB through libnbd's Python binding, each time into a new buffer, which it forgets. The
synchronous pread() takes no more memory with time. aio_pread() does: each call keeps a reference to its buffer for
ever, also after aio_command_completed() has returned True. Reading into one buffer again and again avoids it.
END

truncate -s 400M disk.raw
qemu-nbd --read-only --persistent --format=raw --socket="$work/socket" disk.raw &
server=$!
for _ in $(seq 100); do [ -S socket ] && break; sleep 0.1; done

cat >reader.py <<'END'
import resource
import sys

import nbd

SIZE = 4 << 20
handle = nbd.NBD()
handle.connect_unix("socket")
own = nbd.Buffer(SIZE)
for number in range(100):
    if sys.argv[1] == "pread":
        handle.pread(SIZE, number * SIZE)
        continue
    buffer = own if sys.argv[1] == "aio-reused" else nbd.Buffer(SIZE)
    cookie = handle.aio_pread(buffer, number * SIZE)
    while not handle.aio_command_completed(cookie):
        handle.poll(-1)
    del buffer
taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
print(f"{sys.argv[1]}: {'more than 300 MiB' if taken > 300 else 'less than 100 MiB' if taken < 100 else taken}")
END
for way in pread aio-new aio-reused; do
    /usr/bin/python3 reader.py "$way"
done >seen
cat seen

cat >expected <<'END'
pread: less than 100 MiB
aio-new: more than 300 MiB
aio-reused: less than 100 MiB
END
diff expected seen || { echo "The behaviour has changed." >&2; exit 1; }
