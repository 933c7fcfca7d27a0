"""The person's end: talks to the daemon, knows nothing of its inside. `main` is the root group, one file per family below."""
