"""HTTP below the routes: connections, request heads, responses."""
