"""The command line: one module for each verb, with NAME, SUMMARY, OPTIONS (rows) and run. See `main` for the list."""
