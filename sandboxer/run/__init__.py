"""A box that is alive: a request becomes an entry, the entry a launch, and the launcher's record a Result."""
