"""What ``gangplank watch`` shows: where it reads, what it remembers, and what of that is drawn."""
