"""What soma is tested with, for users' own tests too: Hypothesis strategies for its values."""
