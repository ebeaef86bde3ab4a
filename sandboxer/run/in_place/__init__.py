"""Confinement without a box: of the calling process, and of a command that takes its place."""
