# A real Kubernetes node on this machine (docs/cluster-tests.md). As root.

.PHONY: cluster-assets cluster cluster-down cluster-test

# What to try, e.g. CLUSTER_ARGS="-k 'thin and test_workloads'".
CLUSTER_ARGS ?=

cluster-assets: ## build the programs of a Kubernetes node, once, into a cache folder
	@scripts/cluster-setup
	@$(VENV)/bin/python scripts/kube_assets.py build

cluster: setup cluster-assets ## a Kubernetes node with Multus, to play with
	@PYTHONPATH=tests:scripts $(VENV)/bin/python -m support.node up

cluster-down: ## remove every trace of it
	@PYTHONPATH=tests:scripts $(VENV)/bin/python -m support.node down

cluster-test: setup cluster-assets ## the scenarios on real Kubernetes nodes, and the API tests against their API server
	@KUBE_ASSETS="$$($(VENV)/bin/python scripts/kube_assets.py path)" $(VENV)/bin/python tests/cluster/run.py $(CLUSTER_ARGS)
