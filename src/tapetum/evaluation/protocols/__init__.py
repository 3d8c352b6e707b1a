"""evaluation/protocols."""
