"""What the labels of boxes refused, explained: a module for each of the kernel's security modules."""
