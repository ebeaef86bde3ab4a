"""Labels of the kernel's security modules, made from what the other sections say: a room for each module."""
