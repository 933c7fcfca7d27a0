"""OCI image-spec documents as frozen Structs."""
