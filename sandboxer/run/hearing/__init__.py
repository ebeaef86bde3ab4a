"""What Landlock refuses while a box runs, out of the audit log: which records are the box's, and the books about them."""
