"""Rows that change: plans of updates, assignment, reset, optimizer states."""
