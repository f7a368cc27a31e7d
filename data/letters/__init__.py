"""Letters: who gets them, how they are delivered, and what has been sent."""
