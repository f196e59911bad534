"""Limits of this process (cores, threads, memory) and the command that starts child processes."""
