"""Calls of Python functions in boxes: how values cross, and who runs them."""
