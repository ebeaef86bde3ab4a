"""Sessions: boxes one after the other that share files, which stay apart from the host until somebody commits them."""
