"""What the gate runs: reference semantics, a simulator of filters, and the makers of the generated tables."""
