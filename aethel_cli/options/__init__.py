"""The options of `run` and `create`: one module a subject, each with its click options, its grammar, and what it fills in.

The grammar is here, the meaning is the daemon's: whether a capability exists, or two options contradict each other.
"""
