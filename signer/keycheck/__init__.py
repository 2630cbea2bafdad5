"""Whether a real key is fit: asking the venue, and asking again."""
