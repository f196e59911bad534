"""What becomes of a run directory when any of its files is damaged, swapped or not what it seems.

subjects   trained runs, their files, and what is asked of them
harm       what is done to a file
sweep      one copy a harm, and whether the answer is the same or an error that names the file
"""
