"""From text to plan: load, resolve, lower, check, encode; the cache of plans, and what shows them to people."""
