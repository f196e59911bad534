"""Does mindref work here? What is installed, what this machine has, and what cannot be used.

    check        what one subject comes to: ok, a note, or a problem
    child        a process of its own for whatever may crash or hang
    trials       what is tried in it
    tried        what is made of the answers
    installed    mindref, Python, the packages, and the variables that are read
    machine      processor, cores and memory, and who limits them
    places       folders that can be written, files that can be locked, what a terminal can show
    examine      all of it

Nothing heavy is imported here: NumPy compiled for another processor ends the process that loads it.
"""
