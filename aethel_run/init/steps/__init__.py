"""One module per act of the set-up; each step is a function of a few lines that names its system call."""
