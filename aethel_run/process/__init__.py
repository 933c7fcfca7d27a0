"""What the parent of init does: clone it, answer it, let it go."""
