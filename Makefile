# Everything is installed into .venv: `demo` installs only what a vehicle needs, `test` adds the rest. Where a ROS 2 is
# sourced, .venv sees its packages and the system's; where none is, it gets ROS 2 Jazzy's wheels.
PYTHON ?= python3
ASKED := $(filter-out file,$(origin PYTHON))
BIN := .venv/bin
# Python compiles what it imports by itself; most of what torch and OpenVINO bring is never imported.
INSTALL := -m pip --disable-pip-version-check install --no-compile --quiet
unexport PYTHONDONTWRITEBYTECODE
SOURCED := $(if $(AMENT_PREFIX_PATH),$(ROS_DISTRO))
VENV := -m venv $(if $(SOURCED),--system-site-packages)
comma := ,
EXTRAS := $(if $(SOURCED),,ros$(comma))openvino,demo
# A ROS 2 is built with one major version of NumPy and works with no other.
NUMPY = $(if $(SOURCED),'numpy<$(shell $(PYTHON) -c 'import numpy; print(int(numpy.__version__.split(".")[0]) + 1)')')

.PHONY: help demo test test-kilted test-gpu soak lint venv clean python

help:  ## show this help
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 13

demo: .venv/vehicle  ## replay a driving clip through the real node; pictures in demo_output/
	$(BIN)/python -m demo.run_demo

# Types are checked with the wheels: another ROS 2 has other NumPy and rclpy types.
# xdist would keep the files with few tests for the end, which take longest.
# A worker that crashed is not replaced: pytest-xdist would wait forever for tests that nobody runs.
test: $(if $(SOURCED),.venv/complete,lint)  ## run all tests
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

# Kilted has ended; its wheels are the only second distribution that needs no installation.
test-kilted: .venv-kilted/complete  ## run the node's tests and the demo on ROS 2 Kilted's wheels
	.venv-kilted/bin/python -m pytest test/node test/test_demo.py

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
	rm -rf .venv .venv-kilted demo_output gpu_results soak_results build install log *.egg-info

# Checks the Python that .venv is made with. Once .venv is there, only a PYTHON given on the command line is checked.
python:
	@if [ -x $(BIN)/python ]; then \
	  if ! grep -q 'include-system-site-packages = $(if $(SOURCED),true,false)' .venv/pyvenv.cfg; then \
	    echo ".venv was made $(if $(SOURCED),before a ROS 2 was sourced,while a ROS 2 was sourced; source it)," \
	      "or run 'make clean' first"; exit 1; fi; \
	  if [ -z "$(ASKED)" ]; then exit 0; fi; fi; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && \
	$(PYTHON) -c '$(if $(SOURCED),import rclpy,import sys; sys.exit(sys.version_info >= (3, 14)))' 2>/dev/null || \
	  { echo "expected $(if $(SOURCED),a Python 3.10 or newer with the rclpy of ROS 2 $(SOURCED),Python 3.10 to 3.13, or a ROS 2 that is sourced)," \
	    "got '$$($(PYTHON) --version 2>&1)'; name one: make PYTHON=python3.12 ..."; exit 1; }; \
	if [ -x $(BIN)/python ] && [ "$$($(BIN)/python --version)" != "$$($(PYTHON) --version)" ]; then \
	  echo ".venv holds $$($(BIN)/python --version), not $$($(PYTHON) --version); run 'make clean' first"; exit 1; fi

.venv/vehicle: setup.py | python
	@echo "setting up .venv: $(if $(SOURCED),for ROS 2 $(SOURCED),ROS 2 (rclpy$(comma) Fast DDS)), OpenVINO, ONNX Runtime, numba (900 MB)"
	$(PYTHON) $(VENV) .venv
	$(BIN)/python $(INSTALL) $(NUMPY) --editable '.[$(EXTRAS)]'
	@touch $@

# 2.13.0 keeps the environment of every developer, and CI's, the same.
.venv/complete: .venv/vehicle
	@echo "adding torch, Lightning and the test tools to .venv"
	$(BIN)/python $(INSTALL) $(NUMPY) torch==2.13.0 --editable '.[$(EXTRAS),training,test]'
	@touch $@

.venv-kilted/complete: setup.py | python
	@echo "setting up .venv-kilted: ROS 2 Kilted, and what the node's tests need"
	$(PYTHON) -m venv .venv-kilted
	.venv-kilted/bin/python $(INSTALL) --editable '.[ros-kilted,openvino,demo,benchmark,evaluation]' hypothesis pytest pytest-timeout
	@touch $@
