"""Effects on this machine: plugins, network namespaces, records, cached results, configuration files, the log file."""
