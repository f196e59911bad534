"""The paper's case study, for any run: who holds which behaviour, what each interest brings.

study     the numbers       controls  would anything look so?       plot  the figure
"""
