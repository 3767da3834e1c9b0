"""Dense embedding: the catalogue of models, their files, and engines that turn texts into vectors."""
