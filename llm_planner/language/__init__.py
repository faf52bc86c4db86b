"""Language models in the four roles: endpoints, typed answers, retries, cache."""
