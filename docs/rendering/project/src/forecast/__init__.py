"""The project that the captures are taken in."""
