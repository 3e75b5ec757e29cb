"""Everything that puts Multus on a node, keeps it there, and takes it off (docs/install.md).

The decisions are pure (`generate`, `primary`, `contest`); `keeper` carries them out; `main` and `upstream` are command
lines.
"""
