"""What must be so on the machine before a command can be under a label."""
