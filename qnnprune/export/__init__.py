"""The integer network elsewhere: one module a target, the same integers in each.

Every function takes a fitted estimator or an `IntegerNetwork`.  What a target needs
beyond numpy is imported when it is called, and named in the error if it is missing.
"""

from .c import to_c as to_c
