"""The generator: flow prior, sampling, guidance; ``stock`` for diffusers families."""
