"""Generative semantic coding of robot cameras for links too thin for video."""

__version__ = '0.1.0'
