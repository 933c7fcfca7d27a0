"""The vocabulary that every package shares.

Errors, names, paths, the database, the kernel's door (`linux`) and the wire (`rpc`).

Start with `errors` (what can go wrong, in one tree) and `layout` (where everything is kept).
"""
