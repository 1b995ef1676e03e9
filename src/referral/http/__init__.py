"""HTTP: the API, the hosted pages, the documentation and the server around them.

It translates between requests and use cases, and holds no rules of its own.
"""
