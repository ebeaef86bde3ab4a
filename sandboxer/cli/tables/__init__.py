"""Tables that a verb prints when it is asked for more than its usual page."""
