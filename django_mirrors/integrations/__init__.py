"""Other packages, each in a module that imports it."""
