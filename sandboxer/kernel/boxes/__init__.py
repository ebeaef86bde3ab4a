"""Boxes that live on this machine, as /proc shows them."""
