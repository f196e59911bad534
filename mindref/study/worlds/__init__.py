"""What is studied: a model, its users, and one training pair of one of them.

world      a run directory, or the small model that ships with the package (built_in/)
rules      how a user is chosen: by rule, never by hand
film_club  the invented log of the small model       making  its training
"""
