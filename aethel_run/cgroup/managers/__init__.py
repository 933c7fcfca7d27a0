"""Who makes a container's cgroup: ourselves, systemd, or nobody.

- `manager`: what each of them can do, and the choice
- `cgroupfs`: directories and files, by our own hand
- `systemd`: a transient scope, asked for over D-Bus; `unit` names it, `properties` renders limits, `bus` speaks
- `disabled`: none at all
"""
