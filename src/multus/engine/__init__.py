"""The verbs: gather, plan, carry out, undo, record, answer. Talks to the outside through `multus.ports` alone."""
