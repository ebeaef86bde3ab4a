"""Large contents between processes without a copy: memory that is sealed, what maps it, and how descriptors are passed."""
