"""A client certificate per node: requested, kept, renewed; and the rules by which requests are approved."""
