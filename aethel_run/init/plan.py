"""The table of contents: what a container's init does, in order. Read this file first."""

from __future__ import annotations

from aethel_run.init.steps import (
    devices,
    execute,
    filesystems,
    filters,
    hardening,
    hooks,
    identity,
    labels,
    namespaces,
    network,
    root,
    scheduling,
    terminal,
)

SETUP_STEPS = (
    # Become somebody: until the maps are written and used, every file belongs to nobody.
    namespaces.become_root,
    namespaces.start_session,
    labels.label_keys,
    namespaces.join_keyring,
    labels.unlabel_keys,
    namespaces.unshare_cgroup,
    namespaces.set_hostname,
    namespaces.set_domainname,
    network.bring_up_loopback,
    # The root. Nothing that is mounted from here on is seen by the host.
    root.make_mounts_slave,
    root.attach_rootfs,
    # The kernel's own file systems must come before the old root goes: the kernel lets an unprivileged user mount proc
    # and sysfs only where they are fully visible already.
    filesystems.mount_filesystems,
    devices.create_devices,
    devices.link_devices,
    terminal.open_console,
    # While both roots can be reached: the host's hooks find its files, the container's mounts are all there.
    hooks.await_runtime_hooks,
    hooks.run_create_container_hooks,
    filesystems.make_tmpfs_read_only,
    # While the host's /proc is whole: only then may a user namespace mount a private one to write through.
    hardening.write_sysctls,
    # What is executed from here on is confined.
    labels.set_apparmor_profile,
    labels.set_selinux_label,
    hardening.mask_paths,
    hardening.make_paths_read_only,
    # From here on no path leads to the host.
    root.pivot_into_rootfs,
    root.detach_old_root,
    root.set_root_propagation,
    root.make_root_read_only,
    # What outranks others, the parent gives from outside: see process.attributes.
    scheduling.set_memory_policy,
    scheduling.set_personality,
)
"""Before the gate: when these are done the container is `created`."""

START_STEPS = (
    hooks.run_start_container_hooks,
    identity.enter_working_directory,
    identity.set_umask,
    execute.connect_stdio,
    execute.reset_signals,
    # CVE-2024-21626 was a descriptor of a host directory that stayed open.
    execute.close_descriptors,
    # The bounding set and the ids need privileges that the sets, set afterwards, take away.
    identity.drop_bounding_set,
    identity.set_ids,
    # As late as can be: every step behind a filter needs to be allowed by it.
    filters.load_filter_by_privilege,
    identity.set_capabilities,
    hardening.set_no_new_privs,
    filters.load_filter,
    execute.execute,
)
"""After the gate; the last one does not return."""

JOIN_STEPS = (
    # A second process in a container that runs: its namespaces are joined already, its root is ours.
    namespaces.become_root,
    namespaces.start_session,
    labels.label_keys,
    namespaces.join_keyring,
    labels.unlabel_keys,
    terminal.open_terminal,
    labels.set_apparmor_profile,
    labels.set_selinux_label,
    scheduling.set_memory_policy,
    scheduling.set_personality,
    *START_STEPS[1:],
)
"""For exec; the last one does not return."""

PLACES = {step.name: f"I{number}" for number, step in enumerate((*SETUP_STEPS, *START_STEPS), start=1)}
"""The place of each step in the story of a container."""
