"""The pages: the map at `/` and the operators' page at `/ops`; `dist` is what Vite makes of the sources beside it."""
