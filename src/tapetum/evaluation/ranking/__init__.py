"""The gallery in order: ranked lists of single queries, and k-reciprocal re-ranking."""
