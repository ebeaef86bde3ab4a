"""A plan becomes a process: the wire format, the start of the native launcher, and its record. `c/` is the launcher itself."""
