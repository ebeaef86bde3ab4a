"""Calls in boxes for those who know executors: `concurrent.futures` in one process, and what runs functions on other machines."""
