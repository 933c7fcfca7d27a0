#!/bin/sh
# Process 1 of the second kernel: mount what a host has, run the tests, leave. $checkout, $results and $timeout are set
# on the kernel's command line, which hands them to us as environment.
export PATH="$checkout/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /run
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts -o ptmxmode=0666,mode=0620,gid=5 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t mqueue mqueue /dev/mqueue 2>/dev/null
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# Not over /tmp, where the checkout may be. Overlays need a disk of their own: hostfs cannot hold an upper directory.
mkdir /run/t && mount -t ext4 /dev/ubda /run/t && export AETHEL_TEST_ROOT=/run/t
ip link set lo up
cd "$checkout" || exit 1
# A child does the work: process 1 must be there to reap whoever is orphaned.
setsid -w timeout "$timeout" python -m pytest tests/e2e -q -p no:cacheprovider \
    --junitxml="$results/junit.xml" --tb=short >"$results/output" 2>&1
sync
echo o >/proc/sysrq-trigger
sleep 60
