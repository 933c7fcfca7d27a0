"""From an OCI runtime-spec document to a running process.

- `spec`: the document, typed
- `cgroup`: control groups, v2 only
- `seccomp`: which system calls a container may make
- `init`: what the container's first process does, in order; start reading at `init.plan`
- `process`: what its parent does meanwhile
- `lifecycle`: the operations: `create`, and `start` on what it returns

Usable alone, as root, with a directory `/tmp/bundle/rootfs` that holds a file tree:

    >>> from aethel_run.lifecycle.create import CreateOptions, create
    >>> from aethel_run.lifecycle.rootfs import open_directory
    >>> from aethel_run.spec.template import default_spec
    >>> container = create(default_spec(), CreateOptions(open_rootfs=open_directory("/tmp/bundle/rootfs")))
    >>> container.start()
"""
