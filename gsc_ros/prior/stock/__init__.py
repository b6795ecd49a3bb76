"""Rectified-flow models of others, through diffusers, weights untouched (docs/PRIORS.md)."""
