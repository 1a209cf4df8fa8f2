"""The gates of `hack/check`: every rule of the tree that a program can check."""
