"""Run the checks of the suite on a backend: load the backend, run each check, build the report.

The main modules, roughly in the order of use:

    suite_run       load a backend, run its checks, build the report
    plan            select the checks of a backend and run one of them
    claims          validate the capabilities that a backend claims
    check           the registry of checks; each check cites the rules that it tests
    check_runner    run one check on many drawn calls with Hypothesis
    trivial_implementations  simple wrong implementations that every check must reject
    context         the functions that checks use: run calls and compare answers
    call            one call of an operator or method, and an adapter that runs calls on a backend
    reference       the expected answer of a call, with an error bound for every number
    attribution     find failures that another failure explains
    expectations    known gaps and widened tolerances of a backend
"""
