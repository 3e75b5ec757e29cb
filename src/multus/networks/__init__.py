"""What a pod wants and what follows from it: Multus' decisions, pure (values in, values out)."""
