"""What ``soma bench`` runs: soma and its peers at one task, in turns, each in a process of its own."""
