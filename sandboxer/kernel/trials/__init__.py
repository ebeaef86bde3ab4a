"""What a kernel lets us really do: tried in a child, and read."""
