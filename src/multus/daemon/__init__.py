"""The node process: it holds the watches and takes every decision; the shims' hands carry them out on the host."""
