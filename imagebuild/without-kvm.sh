# Run a program with a private /dev that holds everything but kvm. To be started in a mount
# namespace of its own. A mount over /dev/kvm would not do: libvirt moves mounts below /dev
# into each VM's namespace and fails on it.
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
mount --move "$dev" /dev
rmdir "$dev"
exec "$@"
