"""The paper's case study for any run: coupling weights and top items of each interest.

numbers  the numbers      controls  comparison with controls      plot  the figure
"""
