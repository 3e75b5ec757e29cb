"""A fake for every port, for tests of this project and of plugins built on it."""
