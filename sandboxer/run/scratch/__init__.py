"""A run's own directory: in memory, in the box, gone with it; what goes in ahead of the start, and what comes back at the end."""
