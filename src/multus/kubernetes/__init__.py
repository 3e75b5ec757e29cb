"""The API server as `multus.ports.Cluster`: credentials, transports, a client of a few requests, watches, events."""
