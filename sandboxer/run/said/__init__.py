"""What callers in Python say of a run beside its profile, understood or refused before anything is compiled."""
