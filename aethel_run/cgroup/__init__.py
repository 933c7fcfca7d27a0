"""Control groups: version 2 only, by reading and writing files. man 7 cgroups"""
