"""From bytes to rows, in one direction: bridge, decode, normalise, batch, commit, acknowledge."""
