"""The routes of REST: they turn requests into calls of the service, and answers into shapes."""
