"""Run the checks of the suite on a backend, and build the report.

The main modules:

    suite_run       run all checks on a backend, build the report
    plan            select the checks for a backend, run one check
    claims          validate the capabilities that a backend claims
    check           the list of all checks, each with the rules that it tests
    check_runner    run one check on many calls that Hypothesis generates
    trivial_implementations  simple wrong implementations that every check must reject
    context         functions with which a check runs calls and compares answers
    call            the inputs of one call, and an adapter that runs calls on a backend
    reference       the answer of the reference to a call, with an error bound for every number
    attribution     find failures that another failure explains
    expectations    read the known failures and widened tolerances of a backend
"""
