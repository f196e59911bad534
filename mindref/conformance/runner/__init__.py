"""Run the checks of a backend: from its name to a report.

In the order of a run:

    suite_run       load a backend, run its checks, build the report
    plan            select the checks of a backend and run one of them
    claims          validate the capabilities that a backend claims
    check           the registry of checks; each check cites the rules that it tests
    check_runner    run one check on many drawn calls with Hypothesis
    trivial_implementations  wrong implementations that every check must reject
    context         what a check may do: run calls and compare answers
    call            one call of an operator, and a backend as a function from calls to answers
    reference       the expected answer of a call, with an error bound for every number
    attribution     which failure explains which other failure
    expectations    known gaps and widened tolerances of a backend
"""
