"""The only Python door to Linux: what this machine is, what its errors mean, and the few calls that Python makes itself."""
