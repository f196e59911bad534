"""Tests of run directories with a damaged, swapped or replaced file.

damaged_runs   trained runs, their files, and queries of a run
damage_ops     operations that damage a file
sweep          one copy per operation: the answer is the same, or an error names the file
"""
