"""What researchers add to the pure values: data frames and figures (extra ``lab``)."""
