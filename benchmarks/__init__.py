"""How fast Wharf is, each file one benchmark: a line of JSON {name, value, unit, ratio, against} for each figure.

Ratios are taken in one run, the two sides alternating, so that a busy machine slows both.
"""
