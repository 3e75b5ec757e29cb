"""`multusctl`: what a person runs by hand. Nothing here is started by a container runtime."""
