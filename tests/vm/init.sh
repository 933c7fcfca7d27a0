#!/bin/sh
# Process 1 of a second kernel that sees this host's files: make a host of its own, run $share/work, power off.
#
# The kernel's command line hands us, as environment: checkout, a clone with its .venv; share, a directory of the host
# that is written through (all else goes to a private overlay), and is told to the work anew; kernel, the number of this one.
export PATH="$checkout/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" HOME=/root

private_root() { # On the disk: hostfs, our read-only root, cannot hold an overlay's upper directory.
    insmod "/usr/lib/uml/modules/$(uname -r)/kernel/fs/overlayfs/overlay.ko"
    mount -t ext4 /dev/ubda /mnt
    mkdir /mnt/upper /mnt/work /mnt/root /mnt/state
    mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
    cd /mnt/root && mkdir .before && pivot_root . .before && cd /
    mount --move /.before/mnt /mnt
    mount --move /.before/dev /dev
    umount -l /.before
}

mounts() {
    mount -t proc proc /proc
    mount -t sysfs sysfs /sys
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    mount -t tmpfs -o mode=755 tmpfs /run
    mkdir -p /dev/pts /dev/shm /dev/mqueue
    mount -t devpts -o ptmxmode=0666,mode=0620,gid=5 devpts /dev/pts
    mount -t tmpfs -o mode=1777 tmpfs /dev/shm
    mount -t mqueue mqueue /dev/mqueue
    mkdir /mnt/share && mount -t hostfs -o "$share" hostfs /mnt/share && share=/mnt/share
}

modules() { # Where the kernel's package has them, nobody looks.
    mkdir -p /lib/modules
    ln -sfn "/usr/lib/uml/modules/$(uname -r)" "/lib/modules/$(uname -r)"
}

private_root
mounts
modules
ip link set lo up
export TMPDIR=/mnt/state AETHEL_TEST_ROOT=/mnt/state AETHEL_TEST_SLOWNESS=8 share kernel
# A child does the work: process 1 must be there to reap whoever is orphaned.
cd "$checkout" && setsid -w sh "$share/work" >"$share/output-$kernel" 2>&1
sync
echo o >/proc/sysrq-trigger
sleep 60
