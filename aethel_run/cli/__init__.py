"""`aethel-run`, the OCI runtime command: parsing and printing only, one file per family of verbs.

A verb's module is imported when the verb is used: where a runtime is called a dozen times for one container, each
millisecond of its start counts.
"""
