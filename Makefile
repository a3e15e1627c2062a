# Everything is installed into .venv: `demo` installs only what a vehicle needs, `test` adds the rest.
PYTHON ?= python3
ASKED := $(filter-out file,$(origin PYTHON))
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: help demo test test-gpu soak lint venv clean python

help:  ## show this help
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

demo: .venv/vehicle  ## replay a driving clip through the real node; pictures in demo_output/
	$(BIN)/python -m demo.run_demo

test: lint  ## run all tests
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

# On a Jetson only the system's Python has JetPack's TensorRT: make test-gpu GPU_PYTHON=python3
GPU_PYTHON ?= $(BIN)/python
# quick is 20 minutes, the most telling tests first; full is the rest; all is both.
PART ?= all
GPU_quick = --frames 3000 --iterations 1000 --seconds 20
test-gpu: $(if $(filter $(BIN)/python,$(GPU_PYTHON)),.venv/complete)  ## run the tests on a GPU with TensorRT; numbers in gpu_results/
	$(GPU_PYTHON) -m pytest -o timeout=3600 test/gpu --part $(PART) $(GPU_$(PART))

soak: .venv/complete  ## run the node at full rate for 30 minutes; numbers and plot in soak_results/
	$(BIN)/python -m bisenet_ros.node.benchmark.soak --minutes 30 -o soak_results

lint: .venv/complete  ## run ruff, mypy and import-linter
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports --no-logo

venv: .venv/complete  ## set up the complete environment in .venv

clean:  ## remove what the targets above made
	rm -rf .venv demo_output gpu_results soak_results build install log *.egg-info

# Checks the Python that .venv is made with. Once .venv is there, only a PYTHON given on the command line is checked.
python:
	@if [ -x $(BIN)/python ] && [ -z "$(ASKED)" ]; then exit 0; fi; \
	$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null || \
	  { echo "expected Python 3.10 to 3.13, got '$$($(PYTHON) --version 2>&1)'; name one: make PYTHON=python3.12 ..."; exit 1; }; \
	if [ -x $(BIN)/python ] && [ "$$($(BIN)/python --version)" != "$$($(PYTHON) --version)" ]; then \
	  echo ".venv holds $$($(BIN)/python --version), not $$($(PYTHON) --version); run 'make clean' first"; exit 1; fi

.venv/vehicle: setup.py | python
	@echo "setting up .venv: ROS 2 (rclpy, Fast DDS), OpenVINO, ONNX Runtime, numba (900 MB)"
	$(PYTHON) -m venv .venv
	$(PIP) --editable '.[ros,openvino,demo]'
	@touch $@

# 2.13.0 keeps the environment of every developer, and CI's, the same.
.venv/complete: .venv/vehicle
	@echo "adding torch, Lightning and the test tools to .venv"
	$(PIP) torch==2.13.0 --editable '.[ros,openvino,demo,training,test]'
	@touch $@
