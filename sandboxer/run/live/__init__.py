"""A box that lives, from outside: its turns, its events, and its end."""
