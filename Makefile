# What a person types. Every target makes what it needs first, once; a second run without changes needs no network.
#
#   make setup   .venv/ with everything, so that .venv/bin/sandboxer works        make test    all tests
#   make demo    an untrusted program under the `python` profile                  make lint    ruff and mypy
#   make bench   sandboxes, filters, tracers, calls                               make fuzz    plan reader and filters, bounded
#   make docs    write the generated reference pages again                        make clean   remove what was built
#   make layers  measure which layers stop which attempt, into SECURITY.md (as root)
#   make test-vm tests on other kernels, in a virtual machine (tests/vm/README.md)

BIN := .venv/bin
FUZZ_SECONDS ?= 60
FILTER_SECONDS ?= 20
TEST_WORKERS ?= auto
PYTEST_FLAGS ?=
BENCH_FLAGS ?=
FILTER_BENCH_FLAGS ?=
EXPLAIN_BENCH_FLAGS ?=
LOAD_BENCH_FLAGS ?=
CALLS_BENCH_FLAGS ?=
TEST_PACKAGES := apparmor clang libclang-rt-dev g++ git linux-libc-dev-arm64-cross linux-libc-dev-riscv64-cross nodejs perl procps secilc
VM_PACKAGES := qemu-system-x86 mmdebstrap e2fsprogs busybox-static kmod zstd lz4 git
VM_ROUNDS ?=
BENCH_PACKAGES := bubblewrap runc firejail strace systemd-container

.DEFAULT_GOAL := setup
.PHONY: setup demo test test-vm test-vm-whole test-vm-packages lint format bench fuzz docs layers clean distclean

setup:
	@+scripts/setup

demo: setup
	@$(BIN)/python demo/run.py

test: setup
	@scripts/setup $(TEST_PACKAGES)
	@$(BIN)/python -m pytest --numprocesses $(TEST_WORKERS) --maxprocesses 4 --dist loadfile $(PYTEST_FLAGS)

# The gate's selection: both kernels, root and the ordinary user, and the machines with AppArmor and SELinux. VM_ROUNDS names some.
test-vm: test-vm-packages
	@$(BIN)/python -m tests.vm rounds $(VM_ROUNDS)

# Every live test and every attempt, for hours.
test-vm-whole: test-vm-packages
	@$(BIN)/python -m tests.vm rounds --whole $(VM_ROUNDS)

test-vm-packages: setup
	@scripts/setup $(VM_PACKAGES)

lint: setup
	@status=0; for tool in "ruff check ." "ruff format --check ." mypy; do \
		echo "$$tool"; $(BIN)/$$tool || status=1; \
	done; exit $$status

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	@scripts/setup $(BENCH_PACKAGES)
	@$(BIN)/python -m benchmarks.start $(BENCH_FLAGS); status=$$?; \
		$(BIN)/python -m benchmarks.filters $(FILTER_BENCH_FLAGS) && \
		$(BIN)/python -m benchmarks.explain $(EXPLAIN_BENCH_FLAGS) && \
		$(BIN)/python -m benchmarks.load $(LOAD_BENCH_FLAGS) && \
		$(BIN)/python -m benchmarks.calls $(CALLS_BENCH_FLAGS) && exit $$status

# The seeds are read and never written: what a run finds worth keeping goes to build/.
fuzz: setup
	@scripts/setup $(TEST_PACKAGES)
	@mkdir -p build/fuzz/corpus
	@$(MAKE) -s --no-print-directory -C sandboxer/launcher/c fuzz OUT=$(CURDIR)/build/fuzz/plan_reader
	@build/fuzz/plan_reader -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -verbosity=0 -print_final_stats=1 \
		-artifact_prefix=build/fuzz/ build/fuzz/corpus fuzz/plan_reader/corpus
	@$(BIN)/python -m fuzz.filters.compare --seconds $(FILTER_SECONDS)

docs: setup
	@$(BIN)/python scripts/profile_reference.py

layers: setup
	@scripts/setup $(TEST_PACKAGES)
	@$(BIN)/python -m tests.attack.layers

clean:
	rm -rf dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis sandboxer/launcher/bin
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
	$(MAKE) --no-print-directory -C sandboxer/launcher/c clean

distclean: clean
	rm -rf .venv
