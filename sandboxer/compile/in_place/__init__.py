"""Plans without a box: what of a policy a process can keep by itself."""
