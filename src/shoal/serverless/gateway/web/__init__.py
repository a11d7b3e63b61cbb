"""What any web service needs: routes, bodies and connections that end, JSON that is strict."""
