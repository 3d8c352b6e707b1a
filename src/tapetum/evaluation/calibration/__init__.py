"""What a distance means: pairs counted, the probability of one person, and "unknown" for open sets."""
