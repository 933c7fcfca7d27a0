"""The table of contents: what a container's init does, in order. Read this file first."""

from __future__ import annotations

from aethel_run.init.steps import devices, execute, filesystems, hardening, identity, namespaces, root

SETUP_STEPS = (
    # Become somebody: until the maps are written and used, every file belongs to nobody.
    namespaces.become_root,
    namespaces.start_session,
    namespaces.unshare_cgroup,
    namespaces.set_hostname,
    namespaces.set_domainname,
    # The root. Nothing that is mounted from here on is seen by the host.
    root.make_mounts_slave,
    root.attach_rootfs,
    # The kernel's own file systems must come before the old root goes: the kernel lets an unprivileged user mount proc
    # and sysfs only where they are fully visible already.
    filesystems.mount_filesystems,
    devices.create_devices,
    devices.link_devices,
    devices.open_console,
    filesystems.make_tmpfs_read_only,
    # While the host's /proc is whole: only then may a user namespace mount a private one to write through.
    hardening.write_sysctls,
    hardening.mask_paths,
    hardening.make_paths_read_only,
    # From here on no path leads to the host.
    root.pivot_into_rootfs,
    root.detach_old_root,
    root.set_root_propagation,
    root.make_root_read_only,
    identity.set_rlimits,
)
"""Before the gate: when these are done the container is `created`."""

START_STEPS = (
    identity.enter_working_directory,
    identity.set_umask,
    # The bounding set and the ids need privileges that the sets, set afterwards, take away.
    identity.drop_bounding_set,
    identity.set_ids,
    identity.set_capabilities,
    hardening.set_no_new_privs,
    execute.connect_stdio,
    execute.reset_signals,
    # Last before execve: CVE-2024-21626 was a descriptor of a host directory that stayed open.
    execute.close_descriptors,
    execute.execute,
)
"""After the gate; the last one does not return."""
