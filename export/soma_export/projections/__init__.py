"""Projections: what each store makes of the log. They do not know each other."""
