"""Roots that are made once and that many boxes begin with a copy of."""
