"""What a run was refused, explained: the call in words, the rule that said no, and what would allow it at what risk."""
