"""Proof of enforcement: what a profile declares is tried, from inside real boxes under its own plan.

A *probe* is one row: what is declared, which steps of the plan enforce it, and the *trials* that show it. A trial is a script for
`sandboxer-probe`, run in a box, and a judge of what came of it. One goes beyond what is declared and must be stopped, its twin
stays below and must be left alone; a probe that simply does not work proves nothing. What tries a row knows the words of the
room that declares it, and nothing of how that enforces it.
"""
