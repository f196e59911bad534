"""Report formats of a run.

summary      results by page and rule, the source of every text format
terminal     for a person at a terminal
markdown     for a pull request or a page
json_report  for programs, with a published schema; `--diff` reads it
junit        for a CI server
badge        one line with the passed and claimed rules of each level
diff         changes since an earlier report, and whether suite or backend caused them
reproduction a failure as one Python file that reproduces it
reproduction_template  the part of these files that is always the same
backend_answers  the code that calls a backend, in the suite and in these files
"""
