"""One file per command or small family; imported when the command is used."""
