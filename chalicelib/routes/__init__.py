"""HTTP in, HTTP out: one file a resource, whose `routes` answer the paths that lead to it."""
