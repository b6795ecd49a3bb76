"""The H.265 coder: pictures alone and predicted, headers stripped."""
