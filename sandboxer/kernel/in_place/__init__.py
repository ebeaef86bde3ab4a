"""How a process confines itself: what it has to know of the kernel, the ops one by one, and a rehearsal of all of them."""
