"""Control groups: version 2 only, by reading and writing files. man 7 cgroups

- `place`, `controllers`: where a container's cgroup is, and what can be limited there
- `directory`, `walk`: a cgroup's files, processes and events, and those of all below
- `subtree`, `tree`: make it with the controllers it needs, fill, kill, remove
- `limits`: linux.resources to its files, in order: `memory`, `cpu`, `blockio`, `unified`, with what is `present` in mind
- `update`: what a container's resources are after one
- `devices`: device rules to a program
- `freezer`: pause and resume
- `stats`: its `figures`; `events` tells them as runc does
- `managers`: who makes it: we, systemd, or nobody
"""
