"""What a container's process is like."""
