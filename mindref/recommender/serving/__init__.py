"""Serving: lists of recommended items from a trained model.

served_model     a trained model with its catalogue, which encodes histories and users
list_request     options, users, histories, allow and deny lists of a request, in dense ids
item_names       items by id or title, and the closest titles
top_n_lists      lists of many histories: by vectors, by an index or by scores
recall           lists of a request, from a run directory and of the Python interface
similar          items that are similar to an item
rerank           reranking of candidates with DIN, and the gain
"""
