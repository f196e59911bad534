"""The arithmetic of one cell, from its recipe.

cells        explanation of any cell; sums of products
model, loss  explanation of the recipe functions of the model and of the loss
arithmetic   the parts of an explanation
"""
