"""The reference pages in docs/reference, made from the code: what they say is what is there.

`python -m deploy.reference` writes them; a test holds them against the code.
"""
