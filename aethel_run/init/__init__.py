"""What the container's first process does. `plan` is the table of contents: read it first."""
