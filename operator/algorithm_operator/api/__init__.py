"""What people write: the models of the custom resources, their conditions and the catalogue of reasons."""
