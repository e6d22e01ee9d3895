"""An app of two releases: `first` holds the migrations of the one before."""
