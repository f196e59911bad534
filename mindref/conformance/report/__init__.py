"""Write the report of a run: in the terminal, or as JSON, Markdown or JUnit XML.

`summary` has texts that these formats share. `reproduction` writes scripts that reproduce failures.
"""
