"""The second backend: filters that libseccomp writes, held to what it compiles right, and one of ours to close them."""
