"""Pods and NADs from a directory of manifests, for machines without an API server.

`cluster.ManifestCluster` is the same port as the API server's, over `<manifestsDir>` (read only; any tool may write
there) and `<manifestsDir>.status` beside it (written by us: network-status of each pod, events).
"""
