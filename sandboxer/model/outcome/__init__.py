"""What comes of a run beside its Result: the error that an end is, files that were read back, text of a box made safe to show."""
