# make          builds build/sam3trt        make demo    masks on two pictures
# make test     everything that CI checks   make help    all targets
# Every target sets up what it needs first (tools/setup); second runs are incremental.
.DEFAULT_GOAL := build
.NOTPARALLEL:
.PHONY: help setup build install wheel triton-backend deb test-deb test-clients demo serve test test-unit test-asan check-format check-tidy format fuzz eval-tiny \
        page check-page test-page clean

JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60
EVAL_COUNT ?= 100
PYTHON := .venv/bin/python

CPP_FILES = $(shell find include src apps examples python serving tests bench -name '*.cpp' -o -name '*.hpp')

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

setup: ## Debian packages and .venv
	@tools/setup

build/build.ninja: CMakePresets.json | setup
	cmake --preset dev

build/asan/build.ninja: CMakePresets.json | setup
	cmake --preset asan

build/fuzz/build.ninja: CMakePresets.json | setup
	tools/setup clang libclang-rt-dev
	cmake --preset fuzz

build: setup build/build.ninja ## the program, build/sam3trt
	cmake --build build -j $(JOBS) --target sam3trt_program
	@cat build/summary.txt

PREFIX ?= /usr/local
install: setup build/build.ninja ## program, library, headers into PREFIX (with DESTDIR before it)
	cmake --build build -j $(JOBS) --target sam3trt_program libsam3trt.so
	cmake --install build --prefix "$(PREFIX)"

triton-backend: setup build/build.ninja ## libtriton_sam3trt.so, the backend for Triton, in build/triton (needs cargo)
	cmake -DSAM3TRT_TRITON_BACKEND=ON build
	cmake --build build -j $(JOBS) --target triton_sam3trt

wheel: setup ## the Python package, in build/wheels
	@JOBS=$(JOBS) tools/wheel

deb: setup build/build.ninja ## .deb packages of this distribution, in build/packages
	cmake --build build -j $(JOBS) --target sam3trt_program libsam3trt.so
	cd build && cpack --config CPackConfig.cmake -B packages

test-deb: deb ## as root: the packages and the steps of the container file in an empty root
	tools/setup debootstrap
	$(PYTHON) -m pytest -q -rs tests/deb

page: ## web/dist, the page of the server, from web/src (needs Node 20)
	web/build

check-page: ## the page's unit tests; that web/dist is what web/src gives, byte for byte (needs Node 20)
	web/build --test
	web/build --check

test-page: build ## the page in Chromium, against the program
	tools/setup chromium ffmpeg
	tests/clients/page/run

test-clients: wheel build triton-backend test-page test-deb ## wheel, server and page with a browser, transformers, ultralytics, Ray, Label Studio, Triton and others (installs gigabytes, once)
	tests/clients/run
	tests/server_clients/run

demo: build ## export the small checkpoint, find and mask shapes in two pictures, follow them through a clip
	tools/demo

PORT ?= 8080
serve: demo ## the page with the small checkpoint, on http://127.0.0.1:PORT
	build/sam3trt serve --model build/demo/graphs --port $(PORT)

test: setup check-format build/build.ninja ## everything that CI checks
	cmake --build --preset check -j $(JOBS)
	$(MAKE) check-tidy test-asan
	ctest --preset check -j $(JOBS)

test-unit: setup build/build.ninja ## only the unit tests, without sanitizers
	cmake --build build -j $(JOBS) --target unit_tests
	ctest --preset dev -j $(JOBS) -L unit

test-asan: setup build/asan/build.ninja ## unit tests, parity and fuzz corpora under the sanitizers
	cmake --build --preset asan -j $(JOBS)
	ctest --preset asan -j $(JOBS)

check-format: setup ## clang-format and ruff
	@$(PYTHON) -m ruff check
	@$(PYTHON) -m ruff format --check
	@.venv/bin/clang-format --dry-run -Werror $(CPP_FILES)

check-tidy: setup build/build.ninja ## clang-tidy on what changed since it last passed
	$(PYTHON) tools/tidy.py --build build --jobs $(JOBS)

format: setup ## format all sources
	@.venv/bin/clang-format -i $(CPP_FILES)
	@$(PYTHON) -m ruff check --fix
	@$(PYTHON) -m ruff format

fuzz: setup build/fuzz/build.ninja ## every fuzz target for FUZZ_SECONDS seconds
	cmake --build --preset fuzz -j $(JOBS)
	tools/fuzz build/fuzz $(FUZZ_SECONDS)

eval-tiny: build ## figures of the small checkpoint on its held-out pictures
	$(PYTHON) tools/tiny/evaluate.py --program build/sam3trt --model models/tiny --count $(EVAL_COUNT)
	$(PYTHON) tools/tiny/evaluate_tracker.py --program build/sam3trt --model models/tiny --images $(EVAL_COUNT)

clean: ## remove build/
	rm -rf build
