# Run a program with a private /dev that holds everything but kvm. To be started in a mount
# namespace of its own. A mount over /dev/kvm would not do: libvirt moves mounts below /dev
# into each VM's namespace and fails on it. It would also find the mounts that a new /dev hides, such as the device
# nodes that a container's /dev has as bind mounts, so the old one is taken away; it may be no mount at all.
set -e
dev=$(mktemp -d)
mount -t tmpfs -o mode=755 dev "$dev"
for node in /dev/*; do
	name=${node##*/}
	[ "$name" = kvm ] && continue
	if [ -d "$node" ] && [ ! -L "$node" ]; then
		mkdir "$dev/$name"
		mount --rbind "$node" "$dev/$name"
	else
		cp -a "$node" "$dev/$name"
	fi
done
umount -l -R /dev 2>/dev/null || :
mount --move "$dev" /dev
rmdir "$dev"
exec "$@"
