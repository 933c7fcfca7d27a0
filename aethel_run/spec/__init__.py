"""OCI runtime-spec 1.3 (config.json) as frozen Structs, in the specification's own order and words."""
