"""Marks by which a file says what it is: in its pixels, and in a signed credential beside them."""
