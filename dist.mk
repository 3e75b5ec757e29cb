# What a release consists of (docs/development.md). Nothing of it is pushed anywhere from here.

.PHONY: dist images dist-test

DIST_ARGS ?=
IMAGE_ARGS ?=

dist: setup ## release artefacts in dist/: wheel, archives for hosts, manifests, chart, checksums
	@scripts/release-setup
	@$(VENV)/bin/python scripts/dist.py $(DIST_ARGS)

images: setup ## the images of all architectures in dist/, as OCI archives
	@scripts/release-setup
	@$(VENV)/bin/python scripts/images.py $(IMAGE_ARGS)

dist-test: setup ## makes the artefacts and the images, twice, and tries them (root)
	@scripts/release-setup
	$(VENV)/bin/pytest -m release -o faulthandler_timeout=1200 tests/release $(PYTEST_ARGS)
