"""HTTP in, HTTP out: one file a resource, whose `routes` the front door registers."""
