"""The demonstration: a recording of one run and what is made of it."""
