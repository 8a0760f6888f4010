"""What can be done to an import while it runs, and what must be true afterwards.

`calls` dies, freezes and takes turns at AWS calls; `answers` has AWS refuse, fail and lose its answers; `source` is a
tiny PostgreSQL and an import of it, driven in this process from its plan on; `people` is everybody else.
"""
