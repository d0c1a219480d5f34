"""The manners of the HTTP API: problem details, authentication of the edge, pagination, request ids."""
