"""Distances between the vectors of queries and gallery, block by block, and which pairs count."""
