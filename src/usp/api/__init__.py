"""The open data API: route, params, queries, representation; in this direction only."""
