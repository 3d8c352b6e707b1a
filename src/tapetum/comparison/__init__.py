"""Compare methods: the same data, the same training, several seeds, one result file per cell, one table."""
