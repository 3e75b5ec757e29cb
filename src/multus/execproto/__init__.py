"""The executor protocol: the daemon's end of the connection over which `multus-shim` lends it hands on the host.

`frames` is the pure codec, `connection` the `ports.Executor` over one connected shim, `listener` the socket, `inflight`
the lock files that tell of delegates which outlived their worker. Byte by byte: docs/executor-protocol.md.
"""
