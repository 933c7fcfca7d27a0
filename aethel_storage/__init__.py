"""From an image's name to the directories of an overlay. Never mounts anything itself.

- `digest`, `content`: blobs by digest
- `oci`: image-spec documents, typed
- `images`: names and what they stand for; `oci_layout`: import from a directory
- `layers`, `extract`, `archive`: layers unpacked once
- `snapshots`: the writable part of a container
- `recipes`, `recipe`, `tree`: images that are built here; `alpine`, `apk`, `qcow2`, `wheel` from a pinned source, `busybox`
  from the host's own program
"""
