"""A model brought up to new rows: what it was, how far it may move, and what moved and why.

rows       new table beside the old one      previous   the model before, as the spec of the new run holds it
bounds     ranges narrowed around it         reference  what it says about the new window
request    the spec of the new run           changes    what moved, by how much, and why
"""
