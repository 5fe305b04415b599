"""What of the documentation is rendered from the code and from real commands; no part of the package that is shipped.

`nox -s docs` checks that all of it is fresh, and `nox -s docs -- --render` makes it anew.
"""
