"""The embedded conda: conda's own words, done with py-rattler, always in a process of its own."""
