"""What there is to ask of the security modules that hold by labels: one module for each."""
