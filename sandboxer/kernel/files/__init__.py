"""Files that somebody else may change while we look: found by descriptors, beneath one directory."""
