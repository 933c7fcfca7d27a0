"""See the issue."""
