"""What a judgement looks like to its readers.

outline      results by page and rule, the most telling first: what the texts are made of
terminal     for the one who sits before it
markdown     for a pull request or a page
as_json      for programs, with a published schema; what `--diff` reads
junit        for a CI server
badge        one line that says how much of what
diff         what has changed since another judgement, and whose change it was
script       a failure as one file that anyone can run
standalone   the part of these files that is always the same
"""
