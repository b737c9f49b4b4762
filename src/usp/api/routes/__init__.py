"""The addresses of the API; each route is parameters, query, representation."""
