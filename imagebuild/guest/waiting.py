"""The part of the appliance's init script in which a machine waits to be saved, and continues with a guest's disks.

``qemu_wrapper`` saves it there. So before that line nothing may depend on the disks, on the time, or on random
numbers: all machines that continue from it share them.
"""

WAIT = r"""if [[ $cmdline == *imagebuild_wait=1* ]]; then
    # What is needed next should be in memory already.
    mkdir -p /tmp/lvm
    guestfsd --help > /dev/null
    date --version > /dev/null
    exec 9<> <(:)
    rtc=/sys/class/rtc/rtc0/since_epoch
    next_second() {
        read -r last < $rtc && read -r now < $rtc || return
        while (( now == last )); do read -r -t 0.02 -u 9; read -r now < $rtc; done
        read -r up _ < /proc/uptime
        up=${up/.}
    }
    # A kernel that has measured its processor's frequency on a busy host may have a clock that is several times too
    # fast; that must not be saved. The times of day and of the kernel are compared for 4 s.
    clock_is_right() {
        next_second && begin=$up && next_second && next_second && next_second && next_second &&
            (( up - begin > 250 && up - begin < 600 ))
    }
    # Linux 5.18 and later have a pool of 256 bits, which is full as soon as the generator is initialised.
    old_generator() { read -r bits < /proc/sys/kernel/random/poolsize; (( bits != 256 )); }
    seeded() { read -r bits < /proc/sys/kernel/random/entropy_avail && (( bits >= 256 )); }
    why=
    modprobe --dry-run virtio_rng || why="no random numbers from the host"
    if old_generator || seeded; then why="its random numbers are initialised"; fi
    clock_is_right || clock_is_right || why="its clock is wrong"
    if [[ $why ]]; then echo "imagebuild: cannot be saved: $why."; else echo "imagebuild: waiting for disks"; fi
    shopt -s nullglob
    early=0
    found=()
    until (( ${#found[@]} )); do
        read -r -t 0.1 -u 9
        if seeded; then early=1; fi
        for f in /sys/class/scsi_host/host*/scan; do echo "0 0 0" > "$f"; done
        found=(/sys/class/scsi_device/*:0:0:0)
    done
    for (( id = 1; ${#found[@]}; id++ )); do
        for f in /sys/class/scsi_host/host*/scan; do echo "0 $id 0" > "$f"; done
        found=(/sys/class/scsi_device/*:0:$id:0)
    done
    # Random numbers must differ from those of all other machines that continue from here. The kernel's generator is
    # initialised only now, from the host. If it was before after all, it takes up what the host gives within a minute.
    modprobe virtio_rng
    dd if=/dev/hwrng of=/dev/urandom bs=64 count=1 status=none || reboot -f
    read -r -N 1 < /dev/random
    if (( early )); then sleep 61; fi
    read -r machine_id < /proc/sys/kernel/random/uuid
    echo "${machine_id//-}" > /etc/machine-id
    read -r now < $rtc
    date -s "@$now" > /dev/null
    while devices=(/sys/class/scsi_device/*) disks=(/sys/block/sd*); (( ${#disks[@]} < ${#devices[@]} )); do
        read -r -t 0.02 -u 9
    done
    shopt -u nullglob
    exec 9>&-
    udevadm settle --timeout=600
else
    modprobe virtio_rng &
fi"""
"""Added to libguestfs's script, after udev has seen the machine's own devices. Bash; it starts few programs, since
each takes an emulated machine 0.05 s."""
