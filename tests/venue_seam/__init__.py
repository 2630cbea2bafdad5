"""The seam between the line and the venues, tried with a venue that is built otherwise than Kraken."""
