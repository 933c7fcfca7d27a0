"""From an image's name to the directories of an overlay. Never mounts anything itself.

- `digest`, `content`: blobs by digest
- `oci`: image-spec documents, typed
- `images`: names and what they stand for; `oci_layout`: import from a directory
- `layers`, `extract`: layers unpacked once
- `snapshots`: the writable part of a container
- `recipes`, `alpine`, `qcow2`: images that are built here from a pinned source
"""
