# The front door. Each target is a thin call of meson, pytest or dpkg; `make help` lists them.
BUILD ?= build
JOBS ?= $(shell nproc)
NEEDS = packaging/install-packages.sh
T ?=

.PHONY: help run build test check e2e fuzz tsan bench soak deb deb-test format format-check lint coverage docs clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 \t\2/p' $(MAKEFILE_LIST) | expand -t 24

run: ## install what is missing, build, and start a PBX on SQLite in ./run
	@$(NEEDS) build run
	@echo "Building in $(BUILD), which takes a few minutes the first time"
	@meson setup $(BUILD) -Dtests=false --buildtype=debugoptimized >/dev/null
	@ninja -C $(BUILD) -j $(JOBS) --quiet
	@packaging/run-here.sh $(BUILD)

build-asan/build.ninja:
	@meson setup build-asan -Doptimization=1 -Db_sanitize=address,undefined -Db_lundef=false >/dev/null

build: ## the build that tests use: address and undefined-behaviour sanitizers
	@$(NEEDS) build unit
	@$(MAKE) --no-print-directory build-asan/build.ninja
	@ninja -C build-asan -j $(JOBS) --quiet

test: ## everything: units, calls with real phones, a short run of each fuzzer; T=name runs what matches
	@$(NEEDS) build run unit calls fuzz
	@tests/run.sh $(T)

check: build ## unit tests only
	@meson test -C build-asan --no-rebuild --print-errorlogs $(T)

e2e: build ## call tests only; T=name runs what matches
	@$(NEEDS) calls
	@/usr/bin/python3 -m pytest tests/e2e tests/api -q $(if $(T),-k $(T))

fuzz: ## each fuzzer for SECONDS (60)
	@$(NEEDS) build fuzz
	@tests/fuzz/run.sh $(or $(SECONDS),60)

tsan: ## media tests under the thread sanitizer
	@$(NEEDS) build unit
	@meson setup build-tsan -Db_sanitize=thread -Db_lundef=false >/dev/null
	@ninja -C build-tsan -j $(JOBS) --quiet
	@TSAN_OPTIONS=die_after_fork=0 meson test -C build-tsan --no-rebuild --print-errorlogs --suite media # rtp_kernel forks, with threads there

bench: ## CPU per call, packet and registration, as ratios to a bare loop
	@$(NEEDS) build run bench
	@meson setup build-bench --buildtype=release -Dtests=false >/dev/null
	@ninja -C build-bench -j $(JOBS) --quiet
	@tests/bench/run.sh build-bench

soak: ## the same calls for ROUNDS (60) rounds of about a minute: memory has to stay where it is
	@$(NEEDS) build run bench
	@meson setup build-bench --buildtype=release -Dtests=false >/dev/null
	@ninja -C build-bench -j $(JOBS) --quiet
	@tests/bench/run.sh build-bench --only soak --rounds $(or $(ROUNDS),60) --round-calls 3000

deb: ## Debian packages in ./dist
	@$(NEEDS) build deb
	@packaging/build-deb.sh

deb-test: ## the packages on a Debian of their own, from install to purge (needs root)
	@$(NEEDS) build deb deb-test
	@tests/packaging/test_deb.sh

format: ## let clang-format decide
	@$(NEEDS) lint
	@git ls-files '*.c' '*.h' | xargs clang-format -i

format-check: ## complain about what `make format` would change
	@$(NEEDS) lint
	@git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror

lint: ## clang's warnings over the whole tree, as errors; and the daemon without anything it can do without
	@$(NEEDS) build unit lint
	@CC=clang-14 meson setup build-clang --werror >/dev/null
	@ninja -C build-clang -j $(JOBS) --quiet
	@CC=clang-14 meson setup build-bare --werror -Dauto_features=disabled -Dtests=false -Doptimization=0 >/dev/null
	@ninja -C build-bare -j $(JOBS) --quiet pbxd

coverage: ## what no test has entered: build-coverage/meson-logs/coveragereport
	@$(NEEDS) build unit coverage
	@meson setup build-coverage -Db_coverage=true >/dev/null
	@ninja -C build-coverage -j $(JOBS) --quiet
	@meson test -C build-coverage --no-rebuild
	@ninja -C build-coverage coverage-html

docs: ## the settings reference, made from the declarations: docs/settings.md
	@$(NEEDS) build
	@meson setup $(BUILD) -Dtests=false >/dev/null
	@ninja -C $(BUILD) -j $(JOBS) --quiet
	@mkdir -p docs && packaging/run-here.sh $(BUILD) --manual > docs/settings.md

clean: ## what builds made; ./run, which holds a PBX's data, stays
	@rm -rf build build-asan build-tsan build-bench build-clang build-coverage build-fuzz dist
