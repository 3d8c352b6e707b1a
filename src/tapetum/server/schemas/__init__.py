"""The shapes of what REST takes and gives."""
