"""What the documentation claims, measured beside its peers in one run: `make bench` writes RESULTS.md."""
