"""What comes in: batches of ids, built, described and checked."""
