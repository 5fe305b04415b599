"""What all share."""
