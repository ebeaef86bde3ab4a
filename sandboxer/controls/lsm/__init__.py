"""Labels of the kernel's security modules, made from what the other sections say. No section of a profile asks for one yet."""
