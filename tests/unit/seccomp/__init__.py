"""Profiles, what they compile to, and three ways to say what a filter decides: interpreter, evaluator, libseccomp."""
