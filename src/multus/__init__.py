"""Multus CNI: a meta-plugin that gives a Kubernetes pod more than one network interface."""

__version__ = "0.1.0"
