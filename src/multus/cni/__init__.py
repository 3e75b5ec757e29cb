"""The CNI specification and nothing else: what a plugin and its caller say to each other."""
