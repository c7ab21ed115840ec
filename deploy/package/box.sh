#!/bin/sh
# Boots systemd as process 1 of namespaces that unshare(1) has made, on a throw-away
# overlay of this machine's root, and runs one command there. The machine itself stays
# as it is. Usage: box.sh DIRECTORY COMMAND; the directory is /box inside.
set -eu
dir=$1 command=$2

space=$dir/space
mkdir -p "$space"
mount -t tmpfs tmpfs "$space"
mkdir "$space/upper" "$space/work" "$space/root"
root=$space/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$space/upper,workdir=$space/work" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mkdir "$root/box"
mount --bind "$dir" "$root/box"

# None of the machine's own services start.
rm -rf "$root"/etc/systemd/system/*.wants
: >"$root/etc/machine-id"
cat >"$root/etc/systemd/system/box.service" <<UNIT
[Unit]
After=basic.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c '$command; systemctl poweroff --force'
UNIT
cat >"$root/etc/systemd/system/box.target" <<UNIT
[Unit]
Requires=basic.target box.service
UNIT

cd "$root"
exec env -i container=box PATH="$PATH" TERM=dumb chroot "$root" /lib/systemd/systemd --system --unit=box.target --log-target=console --show-status=no
