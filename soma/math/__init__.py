"""Arrays in, arrays out: the mathematics of memory.

Nothing here reads the clock, draws a random number or touches a file: ``now_s`` and ``rng`` are arguments.
"""
