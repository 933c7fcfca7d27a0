"""The operations of the runtime specification, on containers that are remembered on disk: one file per verb.

What they have in common with the daemon's monitor, the making of a container itself, is in `lifecycle`.
runtime.md#operations
"""
