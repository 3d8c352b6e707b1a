"""Which cameras fail: every pair of cameras measured alone, compared, and said in words."""
