"""Says whether a real key is fit: asks the venue, judges the answer, and asks again."""
