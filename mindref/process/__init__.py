"""Threads, memory limits and child processes of this process."""
