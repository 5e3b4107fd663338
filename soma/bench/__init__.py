"""What ``soma bench`` runs: on data of yours, from the files to the tables; and soma beside its peers, in turns."""
